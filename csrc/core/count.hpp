/// Costs of recorded layers: each, in total, and by group.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <stdexcept>
#include <string>

#include "core/costs.hpp"
#include "core/layer.hpp"
#include "core/rules.hpp"

namespace bopscount {

/// Records at equal distances in memory.
class LayerRow {
public:
  LayerRow(std::span<const Layer> layers)
      : LayerRow(reinterpret_cast<const std::byte *>(layers.data()), layers.size(), sizeof(Layer)) {
  }
  /// `stride` bytes lie between the starts of neighbours; every start is aligned.
  LayerRow(const std::byte *first, std::size_t size, std::ptrdiff_t stride)
      : first_(first), size_(size), stride_(stride) {}

  std::size_t size() const { return size_; }
  const Layer &operator[](std::size_t i) const {
    return *reinterpret_cast<const Layer *>(first_ + static_cast<std::ptrdiff_t>(i) * stride_);
  }

private:
  const std::byte *first_;
  std::size_t size_;
  std::ptrdiff_t stride_;
};

/// A record that cannot be counted; `layer` is its index.
class LayerError : public std::invalid_argument {
public:
  LayerError(std::size_t index, const std::string &what)
      : std::invalid_argument(what), layer(index) {}
  std::size_t layer;
};

/// A layer one of whose costs is over 2^63 - 1; `layer` is its index.
class LayerOverflow : public std::overflow_error {
public:
  LayerOverflow(std::size_t index, const std::string &what)
      : std::overflow_error(what), layer(index) {}
  std::size_t layer;
};

/// Writes the costs of layers[i] to costs[i]; both have the same length.
/// Throws LayerError or LayerOverflow.
///
/// With `discount_zeros` a layer whose non-zero weights are known costs what these cost, if its
/// kind is `prunable`: of its macs their share, rounded down, and of its weight memory theirs.
void count_layers(std::span<const Layer> layers, Rules rules, std::span<Costs> costs,
                  bool discount_zeros = false);

/// Sums over all layers. Throws LayerError or LayerOverflow.
CostSums count_totals(LayerRow layers, Rules rules, bool discount_zeros = false);
inline CostSums count_totals(std::span<const Layer> layers, Rules rules,
                             bool discount_zeros = false) {
  return count_totals(LayerRow(layers), rules, discount_zeros);
}

/// Adds the costs of layers[i] to sums[groups[i]]; a group of -1 is left out.
/// `groups` has the length of `layers`, its values are below sums.size().
void count_groups(std::span<const Layer> layers, std::span<const std::int32_t> groups, Rules rules,
                  std::span<CostSums> sums, bool discount_zeros = false);

} // namespace bopscount
