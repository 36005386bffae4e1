#pragma once
// Before a loop over rows: says to the compiler that no turn reads what another one writes, which
// is so even where input and output are the same row, and which it cannot see. Without it such
// loops are not vectorised when a row is changed in place.

// clang's counterpart also demands the vectorisation, and warns of each loop where it is not
// possible.
#if defined(__clang__)
#define INDEPENDENT_TURNS
#else
#define INDEPENDENT_TURNS _Pragma("GCC ivdep")
#endif
