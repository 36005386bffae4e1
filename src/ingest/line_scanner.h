#pragma once
// Finds the parts of a line of line protocol, and reads the values of its fields. Pure functions;
// all work on [p, end), where `end` is the end of the whole body, not of the line.

#include <string_view>

#include "ingest/line_problem.h"
#include "ingest/text.h"

namespace tsdbd::ingest {

inline std::string_view TextBetween(const char* begin, const char* end) {
  return {begin, static_cast<size_t>(end - begin)};
}

inline const char* SkipBlanks(const char* p, const char* end) {
  while (p != end && (*p == ' ' || *p == '\t')) {
    ++p;
  }
  return p;
}

// A line ends with "\n", "\r\n" or the body.
inline bool AtLineEnd(const char* p, const char* end) {
  return p == end || *p == '\n' || (*p == '\r' && (p + 1 == end || p[1] == '\n'));
}

// The start of the next line, from the end of this one.
inline const char* NextLine(const char* p, const char* end) {
  p += p != end && *p == '\r';
  p += p != end && *p == '\n';
  return p;
}

// The blank that ends measurement and tags, or the line's end. `p` is not at a blank.
inline const char* FindKeyEnd(const char* p, const char* end) {
  for (;; ++p) {
    p = FindBlankOrControl(p, end);
    if (AtLineEnd(p, end) || (*p == ' ' && p[-1] != '\\')) {
      return p;
    }
  }
}

// The `=` that ends the field name at `p`, or what stands where it should be: a comma, a blank, the
// line's end.
const char* FindNameEnd(const char* p, const char* end);

// The end of a line that is refused. Newlines in its strings do not end it, whatever is wrong.
const char* FindLineEnd(const char* line, const char* end);

struct ScannedValue {
  const char* stop = nullptr;  // where it ends
  double value = 0;            // of numbers and booleans
  LineProblem problem = LineProblem::kNone;
  bool inexact = false;  // see ParsedNumber
};

// A number or a boolean.
ScannedValue ScanScalar(const char* p, const char* end);

// A string; its opening quote is at `p`.
ScannedValue ScanString(const char* p, const char* end);

}  // namespace tsdbd::ingest
