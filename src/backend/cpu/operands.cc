#include "backend/cpu/operands.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "backend/cpu/pack.h"
#include "backend/gradient_shapes.h"

namespace ettin::cpu {
namespace {

constexpr int64_t kColumnsAtOnce = 64;  // transposed: their lines stay in the first-level cache

// Not thread_scratch, in which callers work.
float* word_scratch(int64_t words) {
  static thread_local Buffer buffer;
  const size_t bytes = to_size(words) * sizeof(float);
  if (buffer.size() < bytes) buffer = Buffer(bytes);
  return buffer.as<float>();
}

// Calls fn(i, words) for each row of words: n words that belong to inner features i (and i + 1).
// `room`: for n floats, and of pairs for n more.
template <class Fn>
void for_word_rows(const ElementKernels& elements, Words words, const float* const* rows,
                   int64_t count, int64_t n, float* room, const Fn& fn) {
  const int64_t step = words == Words::pairs ? 2 : 1;
  for (int64_t r = 0; r < count; r += step) {
    if (words == Words::floats) {
      fn(r, rows[r]);
      continue;
    }
    if (words == Words::rounded) {
      elements.round_bf16(rows[r], n, room);
    } else {
      const float* odd = room + n;
      if (r + 1 < count) {
        odd = rows[r + 1];
      } else {
        std::fill_n(room + n, n, 0.0f);
      }
      elements.pair_bf16(rows[r], odd, n, room);
    }
    fn(r / step, static_cast<const float*>(room));
  }
}

}  // namespace

void write_panels(const TrainingContext& context, Words words, const float* const* rows,
                  int64_t count, int64_t n, const PanelsOut& out) {
  const int64_t width = context.matrix.panel_width;
  const auto write = [&](int64_t k, const float* row) {
    float* to = out.panels + (out.first_word + k) * width;
    for (int64_t c = 0; c < n; c += width, to += out.panel_words) {
      if (n - c >= width) {
        std::memcpy(to, row + c, to_size(width) * sizeof(float));
      } else {
        std::copy_n(row + c, n - c, to);
        std::fill(to + n - c, to + width, 0.0f);
      }
    }
  };
  for_word_rows(context.elements, words, rows, count, n, word_scratch(2 * n), write);
}

void write_columns(const TrainingContext& context, Words words, const float* const* rows,
                   int64_t count, int64_t n, const ColumnsOut& out) {
  constexpr int64_t kMost = 64;  // rows of words at once
  const float* from[kMost];
  const bool copied = words != Words::floats;
  const int64_t step = words == Words::pairs ? 2 : 1;
  for (int64_t c = 0; c < n; c += kColumnsAtOnce) {
    const int64_t columns = std::min(kColumnsAtOnce, n - c);
    for (int64_t first = 0; first < count; first += kMost * step) {
      const int64_t taken = std::min(kMost * step, count - first);
      const float* parts[2 * kMost];
      for (int64_t r = 0; r < taken; ++r) parts[r] = rows[first + r] + c;
      float* room = copied ? word_scratch((kMost + 2) * columns) : nullptr;
      float* const kept = room + 2 * columns;
      const auto keep = [&](int64_t k, const float* row) {
        from[k] = row;
        if (!copied) return;
        std::copy_n(row, columns, kept + k * columns);
        from[k] = kept + k * columns;
      };
      for_word_rows(context.elements, words, parts, taken, columns, room, keep);
      context.elements.transpose(from, word_count(words, taken), columns,
                                 out.rows + c * out.stride + out.first_word + first / step,
                                 out.stride);
    }
  }
}

namespace {

// Whole panels of out_features, in the layout of cpu/pack.h.
LinearWeight describe(const TrainingContext& context, int64_t out, int64_t in, LinearWeight* old) {
  LinearWeight w;
  w.out_features = out;
  w.in_features = in;
  w.format = context.format;
  w.layout = WeightLayout::panels;
  w.panel_width = static_cast<int32_t>(context.matrix.panel_width);
  w.data = std::move(old->data);
  w.bias = std::move(old->bias);
  w.next = old->next;
  return w;
}

}  // namespace

void pack_master(const TrainingContext& context, ConstView master, ConstView bias,
                 LinearWeight* weight, LinearWeight* transposed) {
  const int64_t out = master.rows, in = master.cols, width = context.matrix.panel_width;
  const ElementKernels& elements = context.elements;
  // Weights hold bf16 whether the machine multiplies it or not, always in pairs.
  const bool pairs = context.format == WeightFormat::bf16;
  float *plain = nullptr, *turned = nullptr;
  int64_t plain_words = 0, turned_words = 0;  // of a panel
  if (weight != nullptr) {
    *weight = describe(context, out, in, weight);
    const int64_t bytes = panel_bytes(*weight);
    plain_words = bytes / 4;
    plain = refillable(&weight->data, to_size(panel_count(*weight) * bytes)).as<float>();
    if (bias.data == nullptr) {
      weight->bias = nullptr;
    } else {
      const int64_t whole = panel_count(*weight) * width;
      auto* b = refillable(&weight->bias, to_size(whole) * sizeof(float)).as<float>();
      std::copy_n(bias.row<float>(0), out, b);
      std::fill(b + out, b + whole, 0.0f);
    }
  }
  if (transposed != nullptr) {
    *transposed = describe(context, in, out, transposed);
    transposed->bias = nullptr;
    const int64_t bytes = panel_bytes(*transposed);
    turned_words = bytes / 4;
    turned = refillable(&transposed->data, to_size(panel_count(*transposed) * bytes)).as<float>();
  }
  // As many rows as one panel of `weight` has; in `transposed` they are whole words of every panel.
  context.threads.parallel_for(ceil_div(out, width), [&](int64_t p, int) {
    const int64_t first = p * width, count = std::min(width, out - first);
    if (plain != nullptr) {
      const int64_t words = pairs ? ceil_div(in, 2) : in;
      std::vector<const float*> columns(to_size(width));
      float* room = word_scratch((width + 1) * words);
      float* const zeros = room + width * words;
      std::fill_n(zeros, words, 0.0f);
      for (int64_t c = 0; c < width; ++c) {
        const float* row = c < count ? master.row<float>(first + c) : nullptr;
        columns[to_size(c)] = row == nullptr ? zeros : row;
        if (!pairs || row == nullptr) continue;
        // Neighbours of a row, so not the pairs of two rows that for_word_rows makes.
        elements.neighbours_bf16(row, in, room + c * words);
        columns[to_size(c)] = room + c * words;
      }
      context.matrix.pack_panel(columns.data(), words, plain + p * plain_words);
    }
    if (turned == nullptr) return;
    std::vector<const float*> rows(to_size(count));
    for (int64_t r = 0; r < count; ++r) rows[to_size(r)] = master.row<float>(first + r);
    const Words stored = pairs ? Words::pairs : Words::floats;
    write_panels(context, stored, rows.data(), count, in,
                 {turned, turned_words, word_count(stored, first)});
  });
}

}  // namespace ettin::cpu
