#include "query/ordered_window.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>

namespace tsdbd::query {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kInfinity = std::numeric_limits<double>::infinity();

bool Same(double a, double b) {
  return a == b || (std::isnan(a) && std::isnan(b));
}

bool Less(double a, double b) {
  return std::isnan(a) ? !std::isnan(b) : a < b;
}

TEST(OrderedWindow, KnowsItsValuesInOrderWhileItSlides) {
  const uint64_t seed = std::random_device{}();
  SCOPED_TRACE(fmt::format("seed {}", seed));
  std::mt19937_64 random(seed);
  std::normal_distribution<double> normal;
  for (const size_t count : {1, 2, 100, 511, 512, 3000}) {
    for (const double special : {0.0, -1e300, kNan, kInfinity, -kInfinity}) {
      std::vector<double> values(count);
      for (double& value : values) {
        value = random() % 10 == 0 ? special : normal(random);
      }
      OrderedWindow window(values);
      size_t begin = 0;
      size_t end = 0;
      while (end < count) {
        for (const size_t until = std::min(count, end + 1 + random() % 500); end < until; ++end) {
          window.Add(end);
        }
        for (const size_t until = begin + random() % (end - begin); begin < until; ++begin) {
          window.Remove(begin);
        }
        std::vector<double> sorted(values.begin() + static_cast<ptrdiff_t>(begin),
                                   values.begin() + static_cast<ptrdiff_t>(end));
        std::ranges::sort(sorted, Less);
        for (size_t n = 0; n < sorted.size(); n += 1 + random() % 20) {
          const Neighbours found = window.Select(n);
          ASSERT_TRUE(Same(found.lower, sorted[n])) << count << " " << special << " " << n;
          ASSERT_TRUE(Same(found.upper, sorted[std::min(n + 1, sorted.size() - 1)]));
        }
      }
    }
  }
}

}  // namespace
}  // namespace tsdbd::query
