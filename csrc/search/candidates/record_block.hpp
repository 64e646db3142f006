/// Records of very many candidates, and the costs of each candidate.
#pragma once

#include <cstddef>
#include <stdexcept>
#include <string>

#include "core/costs.hpp"
#include "core/count.hpp"

namespace bopscount {

/// One row of records per candidate, at equal distances in memory.
struct RecordBlock {
  const std::byte *data; ///< first record of the first candidate
  std::size_t n_candidates;
  std::size_t n_layers;
  std::ptrdiff_t candidate_stride; ///< bytes from a candidate's record to the next candidate's
  std::ptrdiff_t layer_stride;     ///< bytes from a layer's record to the next layer's

  /// Return the records of candidate i.
  LayerRow candidate(std::size_t i) const {
    return {data + static_cast<std::ptrdiff_t>(i) * candidate_stride, n_layers, layer_stride};
  }
};

/// Error of a candidate's record that cannot be counted.
class CandidateError : public std::invalid_argument {
public:
  CandidateError(std::size_t candidate_index, const LayerError &error)
      : std::invalid_argument(error.what()), candidate(candidate_index), layer(error.layer) {}
  std::size_t candidate, layer;
};

/// Error of a cost over 2^63 - 1, of one layer of a candidate or of all its layers together.
class CandidateOverflow : public std::overflow_error {
public:
  /// Value of `layer` for a sum over all layers.
  static constexpr std::size_t all_layers = static_cast<std::size_t>(-1);

  CandidateOverflow(std::size_t candidate_index, std::size_t layer_index, const std::string &what)
      : std::overflow_error(what), candidate(candidate_index), layer(layer_index) {}
  std::size_t candidate, layer;
};

/// Return the sums over the layers of one candidate. Throws CandidateError or CandidateOverflow.
CostSums count_candidate(const RecordBlock &block, std::size_t candidate, Rules rules);

/// Return a candidate's sum of one metric on 64 bits. Throws CandidateOverflow if it does not fit.
std::int64_t narrow_sum(const CostSums &sums, Metric metric, std::size_t candidate);

} // namespace bopscount
