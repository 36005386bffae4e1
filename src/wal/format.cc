#include "wal/format.h"

#include <charconv>
#include <cstring>

#include <fmt/format.h>

#include "common/hash.h"

namespace tsdbd::wal {
namespace {

constexpr uint64_t kSecondSegmentHeader = kPageBytes / 2;
constexpr std::string_view kNamePrefix = "wal-";
constexpr std::string_view kNameSuffix = ".log";
constexpr size_t kNameDigits = 16;

// The bytes of a header that its checksum, its last member, covers.
template <typename Header>
std::string_view CheckedBytes(const Header& header) {
  return {reinterpret_cast<const char*>(&header), sizeof(Header) - sizeof(header.checksum)};
}

template <typename Header>
std::optional<Header> ReadHeader(std::string_view bytes, uint64_t seed) {
  if (bytes.size() < sizeof(Header)) {
    return std::nullopt;
  }
  Header header;
  std::memcpy(&header, bytes.data(), sizeof(Header));
  const Header fresh;
  if (std::memcmp(&header.magic, &fresh.magic, sizeof(header.magic)) != 0 ||
      header.checksum != Hash64(CheckedBytes(header), seed)) {
    return std::nullopt;
  }
  return header;
}

uint64_t RecordHeaderChecksum(const RecordHeader& header, uint64_t seed) {
  return Hash64({reinterpret_cast<const char*>(&header), offsetof(RecordHeader, header_checksum)},
                seed);
}

}  // namespace

std::string EncodeSegmentHeaderPage(uint64_t number, uint64_t salt) {
  SegmentHeader header;
  header.number = number;
  header.salt = salt;
  header.checksum = Hash64(CheckedBytes(header));
  std::string page(kPageBytes, '\0');
  std::memcpy(page.data(), &header, sizeof(header));
  std::memcpy(page.data() + kSecondSegmentHeader, &header, sizeof(header));
  return page;
}

std::optional<SegmentHeader> DecodeSegmentHeaderPage(std::string_view page) {
  if (auto header = ReadHeader<SegmentHeader>(page, 0)) {
    return header;
  }
  return page.size() < kSecondSegmentHeader
             ? std::nullopt
             : ReadHeader<SegmentHeader>(page.substr(kSecondSegmentHeader), 0);
}

void SealCommitHeader(CommitHeader* header, uint64_t salt) {
  header->checksum = Hash64(CheckedBytes(*header), salt);
}

std::optional<CommitHeader> DecodeCommitHeader(std::string_view bytes, uint64_t salt) {
  return ReadHeader<CommitHeader>(bytes, salt);
}

uint64_t RecordSeed(uint64_t salt, uint64_t commit_number) {
  return MixHash(salt, commit_number);
}

RecordHeader MakeRecordHeader(std::string_view payload, uint32_t index, uint64_t seed) {
  RecordHeader header;
  header.length = static_cast<uint32_t>(payload.size());
  header.index = index;
  header.header_checksum = RecordHeaderChecksum(header, seed);
  header.payload_checksum = Hash64(payload, header.header_checksum);
  return header;
}

std::optional<RecordHeader> DecodeRecordHeader(std::string_view bytes, uint64_t seed) {
  if (bytes.size() < sizeof(RecordHeader)) {
    return std::nullopt;
  }
  RecordHeader header;
  std::memcpy(&header, bytes.data(), sizeof(header));
  if (header.header_checksum != RecordHeaderChecksum(header, seed)) {
    return std::nullopt;
  }
  return header;
}

bool PayloadMatches(const RecordHeader& header, std::string_view payload) {
  return header.payload_checksum == Hash64(payload, header.header_checksum);
}

std::string SegmentName(uint64_t number) {
  return fmt::format("{}{:016x}{}", kNamePrefix, number, kNameSuffix);
}

std::optional<uint64_t> ParseSegmentName(std::string_view name) {
  if (name.size() != kNamePrefix.size() + kNameDigits + kNameSuffix.size() ||
      !name.starts_with(kNamePrefix) || !name.ends_with(kNameSuffix)) {
    return std::nullopt;
  }
  const std::string_view digits = name.substr(kNamePrefix.size(), kNameDigits);
  uint64_t number = 0;
  const auto [end, error] =
      std::from_chars(digits.data(), digits.data() + digits.size(), number, 16);
  // The other spellings of a number (capitals) are not ours.
  if (error != std::errc() || end != digits.data() + digits.size() || SegmentName(number) != name) {
    return std::nullopt;
  }
  return number;
}

}  // namespace tsdbd::wal
