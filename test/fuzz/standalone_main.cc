// Runs a fuzz target without libFuzzer: all files of the given folders, then mutations of them.
//
//   x_fuzz [--runs=N] [--seconds=S] [--seed=N] FILE|FOLDER...
//
// The inputs depend on the files and the seed only. When the target crashes, its last input is
// written to crash-<program>; give that file as the only argument, with --runs=0, to see it again.

#include <algorithm>
#include <charconv>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

// Of the sanitizers, where there are any: they end the process without a signal.
extern "C" __attribute__((weak)) void __sanitizer_set_death_callback(void (*callback)());

namespace {

using Input = std::vector<uint8_t>;

struct Options {
  uint64_t runs = 10'000;
  uint64_t seconds = 10;
  uint64_t seed = 1;
  std::vector<std::filesystem::path> paths;
};

// Inputs larger than this slow the fuzzing down and find nothing that smaller ones do not.
constexpr size_t kMaxInputBytes = 16 << 10;

// For the crash handler, which may neither allocate nor lock.
const Input* g_current_input = nullptr;
std::string g_crash_file;

void SaveCurrentInput() {
  if (g_current_input == nullptr) {
    return;
  }
  const int file = open(g_crash_file.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0644);
  const bool saved = file >= 0 && write(file, g_current_input->data(), g_current_input->size()) ==
                                      static_cast<ssize_t>(g_current_input->size());
  constexpr std::string_view kSaved = "fuzz: the input that crashed is in ";
  constexpr std::string_view kNotSaved = "fuzz: cannot write the input that crashed to ";
  const std::string_view said = saved ? kSaved : kNotSaved;
  // Nothing can be done if even this fails.
  [[maybe_unused]] ssize_t ignored = write(STDERR_FILENO, said.data(), said.size());
  ignored = write(STDERR_FILENO, g_crash_file.data(), g_crash_file.size());
  ignored = write(STDERR_FILENO, "\n", 1);
}

void OnSignal(int signal_number) {
  SaveCurrentInput();
  std::signal(signal_number, SIG_DFL);
  std::raise(signal_number);
}

void SaveInputOnCrash(std::string_view program) {
  g_crash_file = "crash-" + std::filesystem::path(program).filename().string();
  for (const int signal_number : {SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL}) {
    std::signal(signal_number, OnSignal);
  }
  if (__sanitizer_set_death_callback != nullptr) {
    __sanitizer_set_death_callback(SaveCurrentInput);
  }
}

void Run(const Input& input) {
  g_current_input = &input;
  LLVMFuzzerTestOneInput(input.data(), input.size());
  g_current_input = nullptr;
}

class Mutator {
 public:
  Mutator(const std::vector<Input>& corpus, uint64_t seed) : corpus_(corpus), random_(seed) {}

  Input Next() {
    Input input = corpus_[Below(corpus_.size())];
    for (size_t steps = 1 + Below(4); steps > 0; --steps) {
      Mutate(&input);
    }
    input.resize(std::min(input.size(), kMaxInputBytes));
    input.shrink_to_fit();  // so that AddressSanitizer sees reads beyond the end
    return input;
  }

 private:
  size_t Below(size_t bound) { return bound == 0 ? 0 : random_() % bound; }

  void Mutate(Input* input) {
    const size_t begin = Below(input->size() + 1);
    const size_t rest = input->size() - begin;
    const auto at = input->begin() + static_cast<ptrdiff_t>(begin);
    const auto count = static_cast<ptrdiff_t>(Below(std::min<size_t>(rest, 32) + 1));
    switch (Below(7)) {
      case 0:  // cut off the end
        input->erase(at, input->end());
        break;
      case 1:  // remove
        input->erase(at, at + count);
        break;
      case 2: {  // repeat
        const Input piece(at, at + count);
        input->insert(at, piece.begin(), piece.end());
        break;
      }
      case 3: {  // insert a piece of another input
        const Input& other = corpus_[Below(corpus_.size())];
        const size_t from = Below(other.size() + 1);
        const size_t size = Below(std::min<size_t>(other.size() - from, 256) + 1);
        const auto piece = other.begin() + static_cast<ptrdiff_t>(from);
        input->insert(at, piece, piece + static_cast<ptrdiff_t>(size));
        break;
      }
      case 4:  // insert a byte
        input->insert(at, static_cast<uint8_t>(random_()));
        break;
      case 5:  // flip a bit
        if (rest > 0) {
          *at ^= static_cast<uint8_t>(1 << Below(8));
        }
        break;
      default:  // count up or down, so that lengths and digits become slightly wrong
        if (rest > 0) {
          *at = static_cast<uint8_t>(*at + (Below(2) == 0 ? 1 : -1));
        }
    }
  }

  const std::vector<Input>& corpus_;
  std::mt19937_64 random_;
};

Input ReadFile(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return Input(std::istreambuf_iterator<char>(file), {});
}

// In the order of their names: the same everywhere.
std::vector<std::filesystem::path> FilesUnder(const std::vector<std::filesystem::path>& paths) {
  std::vector<std::filesystem::path> files;
  for (const auto& path : paths) {
    if (!std::filesystem::is_directory(path)) {
      files.push_back(path);
      continue;
    }
    for (const auto& entry : std::filesystem::recursive_directory_iterator(path)) {
      if (entry.is_regular_file()) {
        files.push_back(entry.path());
      }
    }
  }
  std::sort(files.begin(), files.end());
  return files;
}

bool TakeNumber(std::string_view argument, std::string_view flag, uint64_t* number) {
  if (!argument.starts_with(flag)) {
    return false;
  }
  argument.remove_prefix(flag.size());
  const char* end = argument.data() + argument.size();
  return std::from_chars(argument.data(), end, *number).ptr == end;
}

// False: an argument makes no sense.
bool ParseArguments(int argc, char** argv, Options* options) {
  for (int i = 1; i < argc; ++i) {
    const std::string_view argument = argv[i];
    if (!argument.starts_with("--")) {
      options->paths.emplace_back(argument);
    } else if (!TakeNumber(argument, "--runs=", &options->runs) &&
               !TakeNumber(argument, "--seconds=", &options->seconds) &&
               !TakeNumber(argument, "--seed=", &options->seed)) {
      return false;
    }
  }
  return !options->paths.empty();
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  if (!ParseArguments(argc, argv, &options)) {
    fmt::print(stderr, "usage: {} [--runs=N] [--seconds=S] [--seed=N] FILE|FOLDER...\n", argv[0]);
    return 2;
  }
  SaveInputOnCrash(argv[0]);

  std::vector<Input> corpus;
  for (const auto& file : FilesUnder(options.paths)) {
    corpus.push_back(ReadFile(file));
    Run(corpus.back());
  }
  if (corpus.empty()) {
    fmt::print(stderr, "fuzz: no input in {}\n", options.paths.front().string());
    return 1;
  }
  Run({});

  Mutator mutator(corpus, options.seed);
  const auto stop = std::chrono::steady_clock::now() + std::chrono::seconds(options.seconds);
  uint64_t runs = 0;
  while (runs < options.runs && std::chrono::steady_clock::now() < stop) {
    Run(mutator.Next());
    ++runs;
  }
  fmt::print("fuzz: {} inputs and {} mutations, seed {}\n", corpus.size(), runs, options.seed);
  return 0;
}
