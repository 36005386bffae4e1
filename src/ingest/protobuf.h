#pragma once
// protozero, the reader and writer of Protocol Buffers, with std::string_view as its view: the one
// place that includes it.
//
// protozero throws on malformed bytes and asserts that a field is read as its wire type, so every
// reader of outside bytes switches on tag_and_type() and catches at its boundary.

#define PROTOZERO_USE_VIEW std::string_view

#include <string_view>

#include <protozero/pbf_reader.hpp>
#include <protozero/pbf_writer.hpp>

namespace tsdbd::ingest {

// What tag_and_type() is for a field of the given number and kind.
constexpr uint32_t VarintField(uint32_t number) {
  return protozero::tag_and_type(number, protozero::pbf_wire_type::varint);
}
constexpr uint32_t BytesField(uint32_t number) {
  return protozero::tag_and_type(number, protozero::pbf_wire_type::length_delimited);
}
constexpr uint32_t DoubleField(uint32_t number) {
  return protozero::tag_and_type(number, protozero::pbf_wire_type::fixed64);
}

}  // namespace tsdbd::ingest
