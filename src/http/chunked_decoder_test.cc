#include "http/chunked_decoder.h"

#include <string>

#include <gtest/gtest.h>

namespace tsdbd::http {
namespace {

// The body, or "(more)" if it does not end, or "(malformed)"; `rest` is what it left.
std::string Decode(std::string_view input, size_t piece_size, std::string* rest = nullptr) {
  ChunkedDecoder decoder;
  std::string body;
  for (size_t offset = 0; offset < input.size(); offset += piece_size) {
    std::string_view piece = input.substr(offset, piece_size);
    std::string_view data;
    ChunkedDecoder::Event event;
    while ((event = decoder.Next(&piece, &data)) == ChunkedDecoder::Event::kData) {
      body += data;
    }
    if (event == ChunkedDecoder::Event::kMalformed) {
      return "(malformed)";
    }
    if (event == ChunkedDecoder::Event::kDone) {
      if (rest != nullptr) {
        *rest = std::string(
            input.substr(offset + std::min(piece_size, input.size() - offset) - piece.size()));
      }
      return body;
    }
  }
  return "(more)";
}

constexpr std::string_view kAllThereIs =
    "5\r\nhello\r\n0A;name=\"a;b\"\r\n, world, a\r\n1\r\nn\r\n00\r\nTrailer: "
    "x\r\nOther:\r\n\r\nGET";

TEST(ChunkedDecoderTest, DecodesAtEverySplit) {
  for (size_t piece_size = 1; piece_size <= kAllThereIs.size(); ++piece_size) {
    std::string rest;
    EXPECT_EQ(Decode(kAllThereIs, piece_size, &rest), "hello, world, an");
    EXPECT_EQ(rest, "GET");
  }
}

TEST(ChunkedDecoderTest, EveryPrefixWaitsForMore) {
  const size_t end = kAllThereIs.size() - 3;
  for (size_t size = 1; size < end; ++size) {
    EXPECT_EQ(Decode(kAllThereIs.substr(0, size), size), "(more)") << size;
  }
}

TEST(ChunkedDecoderTest, RefusesWhatOthersMightReadDifferently) {
  for (const std::string_view input : {
           "\r\n0\r\n\r\n",             // no size
           "5\nhello\r\n0\r\n\r\n",     // LF alone after the size
           "5\rhello\r\n0\r\n\r\n",     // CR alone after the size
           "5 \r\nhello\r\n0\r\n\r\n",  // blank after the size
           " 5\r\nhello\r\n0\r\n\r\n",
           "+5\r\nhello\r\n0\r\n\r\n",
           "-5\r\nhello\r\n0\r\n\r\n",
           "0x5\r\nhello\r\n0\r\n\r\n",
           "5g\r\nhello\r\n0\r\n\r\n",
           ";a\r\n0\r\n\r\n",               // extension without size
           "5;a\nb\r\nhello\r\n0\r\n\r\n",  // LF in an extension
           "5;a\rb\r\nhello\r\n0\r\n\r\n",
           "5\r\nhello0\r\n\r\n",  // no CR LF after the data
           "5\r\nhello\n0\r\n\r\n",
           "5\r\nhello\r0\r\n\r\n",
           "5\r\nhello!\r\n0\r\n\r\n",
           "0\r\n\n",  // ends in LF alone
           "0\r\n\rX",
           "0\r\n : x\r\n\r\n",  // trailer that starts with a blank
           "0\r\nA: b\n\r\n",
           "00000000000000000\r\n\r\n",  // 17 digits
           "FFFFFFFFFFFFFFFFF\r\n",
       }) {
    EXPECT_EQ(Decode(input, input.size()), "(malformed)") << input;
    EXPECT_EQ(Decode(input, 1), "(malformed)") << input;
  }
}

TEST(ChunkedDecoderTest, BoundsTheExtensionsOfAChunk) {
  const std::string within = "1;" + std::string(256, 'x') + "\r\na\r\n0\r\n\r\n";
  EXPECT_EQ(Decode(within, within.size()), "a");
  const std::string beyond = "1;" + std::string(257, 'x') + "\r\na\r\n0\r\n\r\n";
  EXPECT_EQ(Decode(beyond, beyond.size()), "(malformed)");
}

TEST(ChunkedDecoderTest, BoundsTheExtensionsOfABody) {
  std::string input;
  for (int i = 0; i < 600; ++i) {
    input += "1;" + std::string(250, 'x') + "\r\na\r\n";
  }
  EXPECT_EQ(Decode(input, input.size()), "(malformed)");
}

TEST(ChunkedDecoderTest, BoundsTheTrailer) {
  std::string input = "0\r\n";
  for (int i = 0; i < 1'000; ++i) {
    input += "Name: value\r\n";
  }
  EXPECT_EQ(Decode(input, input.size()), "(malformed)");
}

}  // namespace
}  // namespace tsdbd::http
