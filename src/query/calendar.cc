#include "query/calendar.h"

namespace tsdbd::query {
namespace {

constexpr int64_t kSecondsPerDay = 86'400;
// The calendar repeats after 400 years.
constexpr int64_t kDaysPerEra = 146'097;
constexpr int64_t kYearsPerEra = 400;
// From 0000-03-01, where eras are counted from, to 1970-01-01. Years begin in March here: the leap
// day is the last one of its year and needs no case of its own.
constexpr int64_t kDaysToEpoch = 719'468;
constexpr int kDaysFromMarchToNewYear = 306;
constexpr double kTwoTo63 = 9223372036854775808.0;

int64_t FloorDivide(int64_t dividend, int64_t divisor) {
  return dividend / divisor - (dividend % divisor < 0 ? 1 : 0);
}

bool IsLeapYear(int64_t year) {
  return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

}  // namespace

CalendarTime SplitSeconds(double seconds) {
  if (!(seconds >= -kTwoTo63 && seconds < kTwoTo63)) {
    constexpr uint64_t kBeyond = uint64_t{1} << 63;
    return {.days = static_cast<int64_t>(kBeyond / kSecondsPerDay),
            .second_of_day = static_cast<int64_t>(kBeyond % kSecondsPerDay)};
  }
  const auto whole = static_cast<int64_t>(seconds);
  const int64_t days = FloorDivide(whole, kSecondsPerDay);
  return {.days = days, .second_of_day = whole - days * kSecondsPerDay};
}

CalendarDay ToCalendarDay(int64_t days) {
  const int64_t shifted = days + kDaysToEpoch;
  const int64_t era = FloorDivide(shifted, kDaysPerEra);
  const auto day_of_era = static_cast<int>(shifted - era * kDaysPerEra);
  const int year_of_era =
      (day_of_era - day_of_era / 1460 + day_of_era / 36'524 - day_of_era / 146'096) / 365;
  const int day_from_march = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
  // Months from March on have 31 30 31 30 31 days, twice and a bit: 153 days in five months.
  const int month_from_march = (5 * day_from_march + 2) / 153;
  const bool in_next_year = day_from_march >= kDaysFromMarchToNewYear;
  CalendarDay result;
  result.year = era * kYearsPerEra + year_of_era + (in_next_year ? 1 : 0);
  result.month = in_next_year ? month_from_march - 9 : month_from_march + 3;
  result.day = day_from_march - (153 * month_from_march + 2) / 5 + 1;
  constexpr int kDaysBeforeMarch = 59;
  result.day_of_year =
      in_next_year ? day_from_march - kDaysFromMarchToNewYear + 1
                   : day_from_march + kDaysBeforeMarch + (IsLeapYear(result.year) ? 1 : 0) + 1;
  return result;
}

int DayOfWeek(int64_t days) {
  constexpr int64_t kThursday = 4;  // 1970-01-01
  const int64_t weeks = FloorDivide(days + kThursday, 7);
  return static_cast<int>(days + kThursday - weeks * 7);
}

int DaysInMonth(int64_t year, int month) {
  constexpr int kFebruary = 2;
  if (month == kFebruary) {
    return IsLeapYear(year) ? 29 : 28;
  }
  const bool thirty = month == 4 || month == 6 || month == 9 || month == 11;
  return thirty ? 30 : 31;
}

}  // namespace tsdbd::query
