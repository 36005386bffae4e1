// Updates of known series through Database::Write, many times over; the run that makes the series
// is printed beside them.
#include "series_benchmark.h"

int main(int argc, char** argv) {
  return tsdbd::benchmark::SeriesMain(argc, argv, "Database::Write with known series",
                                      {1, 1'000, 100'000}, /*update_rounds=*/20);
}
