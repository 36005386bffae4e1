#pragma once
// Columns of timestamps and values for tests and benchmarks: the shapes that real series have, and
// those that an enemy of the codecs would choose. The same seed gives the same data.

#include <cstddef>
#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "model/sample.h"

namespace tsdbd::storage {

using Random = std::mt19937_64;

struct ValueShape {
  std::string name;
  std::vector<double> (*generate)(size_t count, Random* random);
};
struct TimestampShape {
  std::string name;
  std::vector<model::Timestamp> (*generate)(size_t count, Random* random);
};

// Every shape that there is.
const std::vector<ValueShape>& ValueShapes();
const std::vector<TimestampShape>& TimestampShapes();

// The shape of that name; it must exist.
const ValueShape& ValueShapeNamed(const std::string& name);
const TimestampShape& TimestampShapeNamed(const std::string& name);

}  // namespace tsdbd::storage
