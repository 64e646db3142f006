#include "search/candidates/record_block.hpp"

namespace bopscount {

CostSums count_candidate(const RecordBlock &block, std::size_t candidate, Rules rules) {
  try {
    return count_totals(block.candidate(candidate), rules);
  } catch (const LayerError &error) {
    throw CandidateError(candidate, error);
  } catch (const LayerOverflow &error) {
    throw CandidateOverflow(candidate, error.layer, error.what());
  }
}

std::int64_t narrow_sum(const CostSums &sums, Metric metric, std::size_t candidate) {
  const auto index = static_cast<std::size_t>(metric);
  const Int128 sum = sums[index];
  if (sum > INT64_MAX)
    throw CandidateOverflow(candidate, CandidateOverflow::all_layers,
                            std::string(metric_names[index]) + " is over 2**63 - 1 in total");
  return static_cast<std::int64_t>(sum);
}

} // namespace bopscount
