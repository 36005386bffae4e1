#include "model/finite_regex.h"

#include <algorithm>

namespace tsdbd::model {
namespace {

using Texts = std::vector<std::string>;

// Groups inside one another; people write one.
constexpr int kMaxDepth = 8;

bool IsPlain(char c) {
  return std::string_view(R"(.+*?()[]{}|^$\)").find(c) == std::string_view::npos;
}

// A backslash before one of these makes it a literal; before others it is something else.
bool IsEscapable(char c) {
  return std::string_view(R"(.+*?()[]{}|^$\-/: )").find(c) != std::string_view::npos;
}

// Recursive descent over: alternatives = sequence {"|" sequence}; sequence = {literal | group}.
class FiniteRegex {
 public:
  explicit FiniteRegex(std::string_view regex) : rest_(regex) {}

  std::optional<Texts> Parse() {
    std::optional<Texts> texts = Alternatives(0);
    return rest_.empty() ? std::move(texts) : std::nullopt;
  }

 private:
  std::optional<Texts> Alternatives(int depth) {
    Texts all;
    for (;;) {
      std::optional<Texts> texts = Sequence(depth);
      if (!texts || all.size() + texts->size() > kMaxFiniteTexts) {
        return std::nullopt;
      }
      all.insert(all.end(), texts->begin(), texts->end());
      if (!rest_.starts_with('|')) {
        return all;
      }
      rest_.remove_prefix(1);
    }
  }

  std::optional<Texts> Sequence(int depth) {
    Texts texts = {""};
    while (!rest_.empty() && rest_[0] != '|' && rest_[0] != ')') {
      if (rest_[0] == '(') {
        const std::optional<Texts> group = Group(depth);
        if (!group || texts.size() * group->size() > kMaxFiniteTexts) {
          return std::nullopt;
        }
        texts = Product(texts, *group);
        continue;
      }
      const std::optional<char> literal = Literal();
      if (!literal) {
        return std::nullopt;
      }
      for (std::string& text : texts) {
        text += *literal;
      }
    }
    return texts;
  }

  std::optional<Texts> Group(int depth) {
    rest_.remove_prefix(1);
    if (rest_.starts_with('?')) {
      if (!rest_.starts_with("?:")) {
        return std::nullopt;  // flags, names
      }
      rest_.remove_prefix(2);
    }
    std::optional<Texts> texts = depth < kMaxDepth ? Alternatives(depth + 1) : std::nullopt;
    if (!texts || !rest_.starts_with(')')) {
      return std::nullopt;
    }
    rest_.remove_prefix(1);
    return IsRepeated() ? std::nullopt : std::move(texts);
  }

  std::optional<char> Literal() {
    const bool escaped = rest_[0] == '\\';
    rest_.remove_prefix(escaped ? 1 : 0);
    if (rest_.empty() || (escaped ? !IsEscapable(rest_[0]) : !IsPlain(rest_[0]))) {
      return std::nullopt;
    }
    const char literal = rest_[0];
    rest_.remove_prefix(1);
    return IsRepeated() ? std::nullopt : std::optional(literal);
  }

  bool IsRepeated() const {
    return !rest_.empty() && std::string_view("?*+{").find(rest_[0]) != std::string_view::npos;
  }

  static Texts Product(const Texts& heads, const Texts& tails) {
    Texts product;
    for (const std::string& head : heads) {
      for (const std::string& tail : tails) {
        product.push_back(head + tail);
      }
    }
    return product;
  }

  std::string_view rest_;
};

}  // namespace

std::optional<Texts> TextsOfFiniteRegex(std::string_view regex) {
  std::optional<Texts> texts = FiniteRegex(regex).Parse();
  if (texts) {
    std::ranges::sort(*texts);
    texts->erase(std::unique(texts->begin(), texts->end()), texts->end());
  }
  return texts;
}

}  // namespace tsdbd::model
