#pragma once
// The types of PromQL expressions and of query results.

#include <string_view>

namespace tsdbd::query {

enum class ValueType { kScalar, kString, kVector, kMatrix };

// As the API names them: "scalar", "string", "vector", "matrix".
std::string_view ValueTypeName(ValueType type);
// As the language's documentation names them: "instant vector", "range vector".
std::string_view DocumentedTypeName(ValueType type);

}  // namespace tsdbd::query
