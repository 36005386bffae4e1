// New series through Database::Write, 10 thousand and a million, and the same series again in the
// same run, so that the ratio of the two is honest.
#include "series_benchmark.h"

int main(int argc, char** argv) {
  return tsdbd::benchmark::SeriesMain(argc, argv, "Database::Write with new series",
                                      {10'000, 1'000'000}, /*update_rounds=*/1);
}
