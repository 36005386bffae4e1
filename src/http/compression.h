#pragma once
// Compression of bodies: gzip and zlib ("deflate") in, gzip out. Whole bodies go through
// libdeflate, streams through zlib. Measured, per core: line protocol inflates to 3.9 GB/s
// (zlib 1.5), JSON deflates at 300 MB/s (zlib 185).
//
// Threads: functions from any thread; a GzipStream belongs to one thread at a time.

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include <zlib.h>

#include "http/body_buffer.h"
#include "http/refusal.h"

namespace tsdbd::http {

enum class ContentCoding { kIdentity, kGzip, kDeflate };

// The coding a Content-Encoding names, if we can inflate it.
std::optional<ContentCoding> ParseContentCoding(std::string_view name);

// Appends to `inflated`. Never writes more than `max_bytes`, whatever `compressed` says about
// itself. Refuses with 400 what is damaged or followed by something else, with 413 what is larger.
Refusal Inflate(ContentCoding coding, std::string_view compressed, size_t max_bytes,
                BodyBuffer* inflated);

// False if that makes it no smaller; `compressed` is then undefined.
bool GzipWhole(std::string_view bytes, std::string* compressed);

class GzipStream {
 public:
  GzipStream();
  ~GzipStream();
  GzipStream(const GzipStream&) = delete;
  GzipStream& operator=(const GzipStream&) = delete;

  // Appends to `out` what is ready; the compressor keeps up to some 100 KB of input to itself.
  void Write(std::string_view bytes, std::string* out) { Deflate(bytes, Z_NO_FLUSH, out); }
  void End(std::string* out) { Deflate({}, Z_FINISH, out); }

 private:
  void Deflate(std::string_view bytes, int flush, std::string* out);

  z_stream stream_ = {};
};

}  // namespace tsdbd::http
