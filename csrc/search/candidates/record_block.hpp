/// Records of very many candidates, and what each candidate costs.
#pragma once

#include <cstddef>
#include <stdexcept>
#include <string>

#include "core/costs.hpp"
#include "core/count.hpp"

namespace bopscount {

/// One row of records a candidate, anywhere in memory at equal distances.
struct RecordBlock {
  const std::byte *data;
  std::size_t n_candidates;
  std::size_t n_layers;
  std::ptrdiff_t candidate_stride; ///< bytes from a candidate's record to the next candidate's
  std::ptrdiff_t layer_stride;     ///< bytes from a layer's record to the next layer's

  LayerRow candidate(std::size_t i) const {
    return {data + static_cast<std::ptrdiff_t>(i) * candidate_stride, n_layers, layer_stride};
  }
};

/// A record of a candidate that cannot be counted.
class CandidateError : public std::invalid_argument {
public:
  CandidateError(std::size_t candidate_index, const LayerError &error)
      : std::invalid_argument(error.what()), candidate(candidate_index), layer(error.layer) {}
  std::size_t candidate, layer;
};

/// A cost over 2^63 - 1: of one layer of a candidate, or of all of them together.
class CandidateOverflow : public std::overflow_error {
public:
  static constexpr std::size_t all_layers = static_cast<std::size_t>(-1);

  CandidateOverflow(std::size_t candidate_index, std::size_t layer_index, const std::string &what)
      : std::overflow_error(what), candidate(candidate_index), layer(layer_index) {}
  std::size_t candidate, layer;
};

/// Sums over the layers of one candidate. Throws CandidateError or CandidateOverflow.
CostSums count_candidate(const RecordBlock &block, std::size_t candidate, Rules rules);

/// The candidate's sum of one metric on 64 bits; throws CandidateOverflow where it does not fit.
std::int64_t narrow_sum(const CostSums &sums, Metric metric, std::size_t candidate);

} // namespace bopscount
