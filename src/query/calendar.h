#pragma once
// The UTC calendar (proleptic Gregorian) of a value in seconds since the Unix epoch. Pure
// functions, for any double: what no int64 holds (NaN, Inf, 1e300) counts as 2^63 seconds, the date
// that Prometheus shows for it on x86-64.

#include <cstdint>

namespace tsdbd::query {

struct CalendarDay {
  int64_t year = 1970;
  int month = 1;        // 1..12
  int day = 1;          // 1..31
  int day_of_year = 1;  // 1..366
};

// Both parts of the second that `seconds` lies in (fractions are cut toward zero).
struct CalendarTime {
  int64_t days = 0;           // since 1970-01-01; negative before
  int64_t second_of_day = 0;  // 0..86399
};

CalendarTime SplitSeconds(double seconds);
CalendarDay ToCalendarDay(int64_t days);
int DayOfWeek(int64_t days);  // 0 is Sunday
int DaysInMonth(int64_t year, int month);

}  // namespace tsdbd::query
