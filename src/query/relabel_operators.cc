#include "query/relabel_operators.h"

#include <algorithm>
#include <charconv>

#include <re2/re2.h>

namespace tsdbd::query {
namespace {

// Between two looks at whether the query is to stop.
constexpr size_t kBatch = 1024;

bool IsNameByte(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

// Takes the group's name behind a $ off *text: "1", "{name}". Empty if there is none.
std::string_view TakeGroupName(std::string_view* text) {
  const bool braced = text->starts_with('{');
  std::string_view rest = text->substr(braced ? 1 : 0);
  const size_t length = std::ranges::find_if_not(rest, IsNameByte) - rest.begin();
  const std::string_view name = rest.substr(0, length);
  rest.remove_prefix(length);
  if (name.empty() || (braced && !rest.starts_with('}'))) {
    return {};
  }
  rest.remove_prefix(braced ? 1 : 0);
  *text = rest;
  return name;
}

std::string_view GroupValue(const re2::RE2& regex, std::string_view name,
                            const std::vector<re2::StringPiece>& groups) {
  size_t number = 0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), number);
  if (error != std::errc() || end != name.data() + name.size()) {
    const auto named = regex.NamedCapturingGroups().find(std::string(name));
    if (named == regex.NamedCapturingGroups().end()) {
      return {};
    }
    number = static_cast<size_t>(named->second);
  }
  return number < groups.size() ? std::string_view(groups[number].data(), groups[number].size())
                                : std::string_view();
}

}  // namespace

// ---- ReplaceRule

StatusOr<ReplaceRule> ReplaceRule::Create(std::string source_label, std::string_view regex,
                                          std::string replacement) {
  re2::RE2::Options options(re2::RE2::Quiet);
  options.set_dot_nl(true);
  ReplaceRule rule;
  rule.regex_ =
      std::make_shared<const re2::RE2>(re2::StringPiece(regex.data(), regex.size()), options);
  if (!rule.regex_->ok()) {
    return InvalidArgument("{}", rule.regex_->error());
  }
  rule.source_label_ = std::move(source_label);
  rule.replacement_ = std::move(replacement);
  return rule;
}

std::optional<std::string> ReplaceRule::Replace(std::string_view text) const {
  std::vector<re2::StringPiece> groups(1 + regex_->NumberOfCapturingGroups());
  if (!regex_->Match(re2::StringPiece(text.data(), text.size()), 0, text.size(),
                     re2::RE2::ANCHOR_BOTH, groups.data(), static_cast<int>(groups.size()))) {
    return std::nullopt;
  }
  std::string value;
  std::string_view rest = replacement_;
  while (!rest.empty()) {
    const size_t plain = std::min(rest.find('$'), rest.size());
    value += rest.substr(0, plain);
    rest.remove_prefix(plain);
    if (rest.empty()) {
      break;
    }
    rest.remove_prefix(1);
    if (rest.starts_with('$')) {
      rest.remove_prefix(1);
      value += '$';
      continue;
    }
    const std::string_view name = TakeGroupName(&rest);
    if (name.empty()) {
      value += '$';
    } else {
      value += GroupValue(*regex_, name, groups);
    }
  }
  return value;
}

std::optional<std::string> ReplaceRule::operator()(const Operator& input, size_t series) const {
  std::string_view text;
  input.GetLabelValues(source_label_, series, 1, &text);
  return Replace(text);
}

// ---- RelabelOperator

Status RelabelOperator::DoPrepare() {
  RETURN_IF_ERROR(SameSeriesOperator::DoPrepare());
  RETURN_IF_ERROR(execution().Reserve(series_count() * sizeof(uint32_t)));
  value_of_.assign(series_count(), kLeft);
  absl::flat_hash_map<std::string, uint32_t> known;
  for (size_t series = 0; series < series_count(); ++series) {
    if (series % kBatch == 0) {
      RETURN_IF_ERROR(execution().CheckAlive());
    }
    std::optional<std::string> value = rule_(child(), series);
    if (!value) {
      continue;
    }
    const auto [entry, is_new] = known.emplace(*value, static_cast<uint32_t>(values_.size()));
    if (is_new) {
      RETURN_IF_ERROR(execution().Reserve(2 * value->size()));
      values_.push_back(*std::move(value));
    }
    value_of_[series] = entry->second;
  }
  return OkStatus();
}

void RelabelOperator::GetLabels(size_t series, model::LabelViews* labels) const {
  SameSeriesOperator::GetLabels(series, labels);
  if (value_of_[series] == kLeft) {
    return;
  }
  std::erase_if(*labels, [this](const model::LabelView& l) { return l.name == label_; });
  const model::LabelView label{label_, values_[value_of_[series]]};
  if (!label.value.empty()) {
    labels->insert(std::ranges::lower_bound(*labels, label), label);
  }
}

void RelabelOperator::GetLabelValues(std::string_view name, size_t first, size_t count,
                                     std::string_view* values) const {
  SameSeriesOperator::GetLabelValues(name, first, count, values);
  for (size_t i = 0; i < count && name == label_; ++i) {
    if (value_of_[first + i] != kLeft) {
      values[i] = values_[value_of_[first + i]];
    }
  }
}

}  // namespace tsdbd::query
