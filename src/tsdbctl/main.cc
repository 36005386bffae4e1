// tsdbctl: looks at a data directory without a daemon.
// Exit status: 0: done, nothing found; 1: damage, or it could not be done; 2: a wrong command line.

#include <cstdio>
#include <string>

#include <CLI/CLI.hpp>

#include "tsdbctl/dump.h"
#include "tsdbctl/verify.h"

namespace tsdbd::tsdbctl {
namespace {

void Print(std::string_view text) {
  std::fwrite(text.data(), 1, text.size(), stdout);
}

int Fail(const Status& status) {
  std::fflush(stdout);
  std::fputs(fmt::format("tsdbctl: {}\n", Message(status)).c_str(), stderr);
  return 1;
}

int Verify(const std::string& data_dir, bool is_verbose) {
  const auto report = VerifyDataDir(Env::Default(), data_dir,
                                    [&](const std::string& path, const std::string& damage) {
                                      if (!damage.empty()) {
                                        Print(fmt::format("damaged {}: {}\n", path, damage));
                                      } else if (is_verbose) {
                                        Print(fmt::format("ok {}\n", path));
                                      }
                                    });
  if (!report.ok()) {
    return Fail(report.status());
  }
  Print(fmt::format("{} files, {} bytes, {} damaged places\n", report->files, report->bytes,
                    report->damages));
  return report->damages == 0 ? 0 : 1;
}

int Main(int argc, char** argv) {
  CLI::App app("Looks at a data directory of tsdbd without a daemon.", "tsdbctl");
  app.require_subcommand(1);
  std::string path;
  bool is_verbose = false;
  bool with_samples = false;

  CLI::App* verify = app.add_subcommand(
      "verify", "check every byte of a data directory that no daemon uses; changes nothing");
  verify->add_option("DIR", path, "the data directory, a snapshot or a backup")->required();
  verify->add_flag("-v,--verbose", is_verbose, "name what is intact, too");

  CLI::App* dump = app.add_subcommand("dump", "print what is in a file");
  dump->require_subcommand(1);
  CLI::App* block = dump->add_subcommand("block", "a block: its index and chunks");
  block->add_option("FILE", path, "a .block file")->required();
  block->add_flag("--samples", with_samples, "and every sample");
  CLI::App* wal = dump->add_subcommand("wal", "a write-ahead log: its records");
  wal->add_option("DIR", path, "the folder of its segments")->required();
  wal->add_flag("--samples", with_samples, "and every sample");

  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  if (verify->parsed()) {
    return Verify(path, is_verbose);
  }
  const DumpDetail detail = with_samples ? DumpDetail::kSamples : DumpDetail::kIndex;
  const Status status = block->parsed() ? DumpBlock(Env::Default(), path, detail, Print)
                                        : DumpWal(Env::Default(), path, detail, Print);
  return status.ok() ? 0 : Fail(status);
}

}  // namespace
}  // namespace tsdbd::tsdbctl

int main(int argc, char** argv) {
  return tsdbd::tsdbctl::Main(argc, argv);
}
