#include "kv/log_format.h"

#include <algorithm>
#include <array>
#include <charconv>

#include <fmt/format.h>

namespace tsdbd::kv {
namespace {

constexpr uint64_t kSecondHeader = kLogPageBytes / 2;
constexpr std::string_view kNamePrefix = "log-";
constexpr std::string_view kNameSuffix = ".kvl";
constexpr size_t kNameDigits = 8;

uint64_t HeaderChecksum(const LogSegmentHeader& header) {
  return Hash64({reinterpret_cast<const char*>(&header), offsetof(LogSegmentHeader, checksum)});
}

std::optional<LogSegmentHeader> DecodeHeaderAt(std::string_view page, uint64_t offset) {
  LogSegmentHeader header;
  if (page.size() < offset + sizeof(header)) {
    return std::nullopt;
  }
  std::memcpy(&header, page.data() + offset, sizeof(header));
  if (std::memcmp(header.magic, LogSegmentHeader().magic, sizeof(header.magic)) != 0 ||
      header.format_version != kLogFormatVersion || header.checksum != HeaderChecksum(header)) {
    return std::nullopt;
  }
  return header;
}

}  // namespace

std::string EncodeLogSegmentHeader(uint64_t number, uint64_t salt, KeyType key_type) {
  LogSegmentHeader header;
  header.key_type = static_cast<uint32_t>(key_type);
  header.number = number;
  header.salt = salt;
  header.checksum = HeaderChecksum(header);
  std::string page(kLogPageBytes, '\0');
  std::memcpy(page.data(), &header, sizeof(header));
  std::memcpy(page.data() + kSecondHeader, &header, sizeof(header));
  return page;
}

std::optional<LogSegmentHeader> DecodeLogSegmentHeader(std::string_view page) {
  const auto first = DecodeHeaderAt(page, 0);
  return first ? first : DecodeHeaderAt(page, kSecondHeader);
}

std::string LogSegmentName(uint32_t number) {
  return fmt::format("{}{:08x}{}", kNamePrefix, number, kNameSuffix);
}

std::optional<uint32_t> ParseLogSegmentName(std::string_view name) {
  if (name.size() != kNamePrefix.size() + kNameDigits + kNameSuffix.size()) {
    return std::nullopt;
  }
  uint32_t number = 0;
  const char* const digits = name.data() + kNamePrefix.size();
  const auto [end, error] = std::from_chars(digits, digits + kNameDigits, number, 16);
  if (error != std::errc() || end != digits + kNameDigits || name != LogSegmentName(number)) {
    return std::nullopt;
  }
  return number;
}

uint64_t WriteRecord(const Record& record, uint64_t value_hash, uint64_t salt, uint64_t offset,
                     char* to) {
  RecordHeader header;
  const std::string_view key = record.key_is_index_key ? std::string_view() : record.key;
  header.value_bytes = static_cast<uint32_t>(record.value.size());
  header.flags_and_key_bytes = static_cast<uint32_t>(record.kind) |
                               (record.has_expiry() ? RecordHeader::kHasExpiry : 0) |
                               (record.more_follows ? RecordHeader::kMoreFollows : 0) |
                               (record.key_is_index_key ? RecordHeader::kKeyIsIndexKey : 0) |
                               static_cast<uint32_t>(key.size()) << RecordHeader::kKeyBytesShift;
  header.version = record.version;
  const std::array<char, 8> index_key = IntegerKey(record.index_key);
  std::memcpy(header.index_key, index_key.data(), index_key.size());
  const uint64_t header_hash =
      internal::HeaderHash(reinterpret_cast<const char*>(&header), salt, offset);
  header.header_check = static_cast<uint32_t>(header_hash);

  char* const body = to + sizeof(header);
  char* end = body;
  if (record.has_expiry()) {
    std::memcpy(end, &record.expires_ns, 8);
    end += 8;
  }
  end = std::copy(key.begin(), key.end(), end);
  header.body_check = static_cast<uint32_t>(
      internal::BodyHash(header_hash, {body, static_cast<size_t>(end - body)}, value_hash));
  std::copy(record.value.begin(), record.value.end(), end);
  std::memcpy(to, &header, sizeof(header));
  return header.record_bytes();
}

RecordState ReadOrMendRecord(std::string_view segment, uint64_t salt, uint64_t offset,
                             Record* record) {
  const RecordState state = ReadRecord(segment, salt, offset, record);
  if (state != RecordState::kBadHeader || offset + sizeof(RecordHeader) > segment.size()) {
    return state;
  }
  const char* const at = segment.data() + offset;
  char bytes[sizeof(RecordHeader)];
  std::memcpy(bytes, at, sizeof(bytes));
  for (char& byte : bytes) {
    const char original = byte;
    for (int change = 1; change < 256; ++change) {
      byte = static_cast<char>(original ^ change);
      RecordHeader header;
      std::memcpy(&header, bytes, sizeof(header));
      const uint64_t header_hash = internal::HeaderHash(bytes, salt, offset);
      if (header.header_check == static_cast<uint32_t>(header_hash) &&
          header.record_bytes() <= segment.size() - offset &&
          internal::ReadBody(header, header_hash, at, record) == RecordState::kIntact) {
        return RecordState::kMended;
      }
    }
    byte = original;
  }
  return RecordState::kBadHeader;
}

}  // namespace tsdbd::kv
