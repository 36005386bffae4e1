#pragma once
// Which groups and columns of a block match: the work behind Block::Select, LabelNames and
// LabelValues. The block's index must have been checked. One thread at a time, made for one call.

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include <roaring/roaring.hh>

#include "common/status.h"
#include "model/matcher.h"
#include "storage/block.h"

namespace tsdbd::storage {

class BlockSelector {
 public:
  explicit BlockSelector(const Block& block) : block_(block) {}

  StatusOr<BlockSelection> Select(std::span<const model::Matcher> matchers) const;
  StatusOr<std::vector<std::string_view>> LabelNames(
      std::span<const model::Matcher> matchers) const;
  StatusOr<std::vector<std::string_view>> LabelValues(
      std::string_view name, std::span<const model::Matcher> matchers) const;

  // Null if no group has a label of that name.
  const NameRecord* FindName(std::string_view name) const;
  // The group's label of that name; null if it has none.
  const PairRecord* LabelOf(uint32_t group, const NameRecord& name) const;

  // Whether each group is in the postings of exactly its labels and its schema.
  Status CheckPostings() const;

 private:
  // The schemas with one column label that have a column that matches.
  struct SchemaClass {
    std::string_view column_label;
    std::vector<uint32_t> schemas;
  };
  using ColumnSets = std::vector<std::vector<uint32_t>>;

  std::vector<uint32_t> MatchingColumns(const SchemaRecord& schema,
                                        std::span<const model::Matcher> matchers) const;
  // By schema; schemas without a matching column are in no class.
  std::vector<SchemaClass> MatchSchemas(std::span<const model::Matcher> matchers,
                                        ColumnSets* column_sets) const;
  StatusOr<Roaring> GroupsOf(const SchemaClass& schema_class) const;
  // Of those, the ones that match by their labels; the columns have been matched.
  StatusOr<Roaring> MatchingGroups(const SchemaClass& schema_class,
                                   std::span<const model::Matcher> matchers) const;

  // Takes the groups that do not match out of *groups.
  Status Narrow(const model::Matcher& matcher, Roaring* groups) const;
  Status NarrowByPostings(const model::Matcher& matcher, const NameRecord& name,
                          Roaring* groups) const;
  void NarrowByLabels(const model::Matcher& matcher, const NameRecord& name, Roaring* groups) const;

  const PairRecord* FindPair(const NameRecord& name, std::string_view value) const;
  Status AddPostings(const PostingsRef& postings, Roaring* groups) const;

  const Block& block_;
};

}  // namespace tsdbd::storage
