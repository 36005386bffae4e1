#include "http/compression.h"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>

#include <libdeflate.h>

#include "common/check.h"
#include "http/text.h"

namespace tsdbd::http {

namespace {

// A gzip file of 64 MiB written in blocks of 64 KiB (as bgzip does) has 1,024; every member costs a
// table, so a body made of empty ones must end somewhere.
constexpr int kMaxGzipMembers = 4'096;
// First guess for a body that says nothing true about its size.
constexpr size_t kMinInflateSpaceBytes = size_t{64} << 10;
// What line protocol commonly shrinks by.
constexpr size_t kCommonRatio = 8;
// Deflate cannot do more: 258 bytes in two bits.
constexpr size_t kMaxDeflateRatio = 1'032;
// Fast levels: an answer is sent once, and at level 1 compressing costs less than sending does at
// 1 Gbit/s.
constexpr int kWholeLevel = 1;
constexpr int kStreamLevel = 1;
constexpr size_t kStreamStepBytes = size_t{16} << 10;
constexpr int kGzipWindowBits = 15 + 16;  // zlib's way of saying "with gzip header"
constexpr int kDefaultMemLevel = 8;

struct FreeDecompressor {
  void operator()(libdeflate_decompressor* d) const { libdeflate_free_decompressor(d); }
};
struct FreeCompressor {
  void operator()(libdeflate_compressor* c) const { libdeflate_free_compressor(c); }
};

libdeflate_decompressor* ThreadDecompressor() {
  thread_local const std::unique_ptr<libdeflate_decompressor, FreeDecompressor> decompressor(
      libdeflate_alloc_decompressor());
  CHECK(decompressor != nullptr);
  return decompressor.get();
}

libdeflate_compressor* ThreadCompressor() {
  thread_local const std::unique_ptr<libdeflate_compressor, FreeCompressor> compressor(
      libdeflate_alloc_compressor(kWholeLevel));
  CHECK(compressor != nullptr);
  return compressor.get();
}

// The size that the end of a gzip file gives for its last member (modulo 2^32). A hint only.
size_t SizeHint(std::string_view gzip) {
  uint32_t size = 0;
  if (gzip.size() >= sizeof(size)) {
    std::memcpy(&size, gzip.data() + gzip.size() - sizeof(size), sizeof(size));
  }
  return size;
}

// One member: cut off `compressed`, appended to `inflated`.
Refusal InflateMember(ContentCoding coding, std::string_view* compressed, size_t max_bytes,
                      BodyBuffer* inflated) {
  const auto decompress = coding == ContentCoding::kGzip ? libdeflate_gzip_decompress_ex
                                                         : libdeflate_zlib_decompress_ex;
  const size_t begin = inflated->size();
  while (true) {
    const std::span<char> reserved = inflated->Space();
    const std::span<char> space = reserved.first(std::min(reserved.size(), max_bytes - begin));
    // Charged before it is written to.
    if (!inflated->Commit(space.size())) {
      return kOutOfBodyMemory;
    }
    size_t taken = 0;
    size_t produced = 0;
    const libdeflate_result result =
        decompress(ThreadDecompressor(), compressed->data(), compressed->size(), space.data(),
                   space.size(), &taken, &produced);
    if (result == LIBDEFLATE_SUCCESS) {
      inflated->Truncate(begin + produced);
      compressed->remove_prefix(taken);
      return {};
    }
    inflated->Truncate(begin);
    if (result != LIBDEFLATE_INSUFFICIENT_SPACE) {
      return {400, "body is not what its Content-Encoding says"};
    }
    if (space.size() == max_bytes - begin) {
      return {413, "body is too large once inflated"};
    }
    inflated->Reserve(
        std::min(std::max(2 * space.size(), kMinInflateSpaceBytes), max_bytes - begin));
  }
}

}  // namespace

std::optional<ContentCoding> ParseContentCoding(std::string_view name) {
  if (name.empty() || EqualsIgnoringCase(name, "identity")) {
    return ContentCoding::kIdentity;
  }
  if (EqualsIgnoringCase(name, "gzip") || EqualsIgnoringCase(name, "x-gzip")) {
    return ContentCoding::kGzip;
  }
  if (EqualsIgnoringCase(name, "deflate")) {
    return ContentCoding::kDeflate;
  }
  return std::nullopt;
}

Refusal Inflate(ContentCoding coding, std::string_view compressed, size_t max_bytes,
                BodyBuffer* inflated) {
  size_t guess = std::max(kCommonRatio * compressed.size(), kMinInflateSpaceBytes);
  if (coding == ContentCoding::kGzip) {
    const size_t hint = SizeHint(compressed);
    const bool is_plausible = hint > 0 && hint / kMaxDeflateRatio <= compressed.size();
    if (is_plausible && hint > max_bytes) {
      return {413, "body is too large once inflated"};
    }
    guess = is_plausible ? hint : guess;
  }
  inflated->Reserve(std::min(guess, max_bytes));
  for (int members = 0; !compressed.empty(); ++members) {
    if (members == kMaxGzipMembers || (members > 0 && coding != ContentCoding::kGzip)) {
      return {400, "body goes on after its compressed data"};
    }
    if (const Refusal refusal = InflateMember(coding, &compressed, max_bytes, inflated)) {
      return refusal;
    }
  }
  return {};
}

bool GzipWhole(std::string_view bytes, std::string* compressed) {
  compressed->resize(bytes.size());
  const size_t size = libdeflate_gzip_compress(ThreadCompressor(), bytes.data(), bytes.size(),
                                               compressed->data(), compressed->size());
  compressed->resize(size);
  return size > 0;
}

GzipStream::GzipStream() {
  CHECK(deflateInit2(&stream_, kStreamLevel, Z_DEFLATED, kGzipWindowBits, kDefaultMemLevel,
                     Z_DEFAULT_STRATEGY) == Z_OK);
}

GzipStream::~GzipStream() {
  deflateEnd(&stream_);
}

void GzipStream::Deflate(std::string_view bytes, int flush, std::string* out) {
  stream_.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
  stream_.avail_in = static_cast<uInt>(bytes.size());
  do {
    const size_t old_size = out->size();
    out->resize(old_size + kStreamStepBytes);
    stream_.next_out = reinterpret_cast<Bytef*>(out->data() + old_size);
    stream_.avail_out = kStreamStepBytes;
    const int result = deflate(&stream_, flush);
    CHECK(result == Z_OK || result == Z_STREAM_END || result == Z_BUF_ERROR);
    out->resize(out->size() - stream_.avail_out);
  } while (stream_.avail_out == 0);
}

}  // namespace tsdbd::http
