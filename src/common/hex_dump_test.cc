#include <filesystem>

#include <gtest/gtest.h>

#include "common/hex_dump_testing.h"

namespace tsdbd {
namespace {

TEST(HexDumpTest, ShowsSixteenBytesALineAndRepeatedLinesOnce) {
  EXPECT_EQ(HexDump(std::string(48, 'a') + "b\n"),
            "00000000  61 61 61 61 61 61 61 61 61 61 61 61 61 61 61 61  |aaaaaaaaaaaaaaaa|\n"
            "*\n"
            "00000030  62 0a  |b.|\n"
            "00000032\n");
}

TEST(HexDumpTest, ADocumentIsFoundFromAnyFolder) {
  const auto before = std::filesystem::current_path();
  std::filesystem::current_path("/");
  EXPECT_EQ(HexDumpInDocument("wal.md").substr(0, 9), "00000000 ");
  EXPECT_EQ(HexDumpInDocument("none.md"), "no hex dump in docs/formats/none.md");
  std::filesystem::current_path(before);
}

}  // namespace
}  // namespace tsdbd
