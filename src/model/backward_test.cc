// The whole network's gradient against finite differences, with every option on.
#include "model/backward.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>

#include "backend/test_backends.h"
#include "base/rng.h"
#include "model/read_parameters.h"
#include "model/test_models.h"

namespace ettin {
namespace {

struct Example {
  Batch batch;
  Targets targets;
  std::vector<uint64_t> row_keys;
};

Example example(const ModelConfig& config) {
  Example e;
  uint64_t n = 0;
  for (const int64_t length : {1, 7, 12}) {
    std::vector<int32_t> ids;
    for (int64_t i = 0; i < length; ++i) {
      ids.push_back(
          static_cast<int32_t>(random_bits(5, 1, n++) % static_cast<uint64_t>(config.vocab_size)));
    }
    e.batch.append(ids);
  }
  for (int64_t t = 0; t < e.batch.tokens(); ++t) {
    e.row_keys.push_back(random_bits(9, 2, static_cast<uint64_t>(t)));
    if (t % 3 == 1) continue;
    e.targets.rows.push_back(t);
    e.targets.ids.push_back(static_cast<int32_t>(random_bits(6, 3, static_cast<uint64_t>(t)) %
                                                 static_cast<uint64_t>(config.vocab_size)));
  }
  return e;
}

Parameters random_parameters(const ModelConfig& config, Dtype dtype) {
  Parameters p = make_parameters(config, dtype);
  uint64_t stream = 0;
  const auto fill = [&](View v, double middle, double spread) {
    ++stream;
    for (int64_t r = 0; r < v.rows; ++r) {
      for (int64_t c = 0; c < v.cols; ++c) {
        const double u = random_uniform(3, stream, static_cast<uint64_t>(r * v.cols + c));
        const auto value = static_cast<float>(middle + spread * (2 * u - 1));
        if (dtype == Dtype::f64) {
          v.row<double>(r)[c] = value;
        } else {
          v.row<float>(r)[c] = value;
        }
      }
    }
  };
  for_each_tensor(
      config,
      [&](const TensorSpec& spec, Parameter& slot) {
        if (!spec.tied) fill(slot.weight, spec.is_norm ? 1 : 0, spec.is_norm ? 0.2 : 0.35);
        if (spec.bias) fill(slot.bias, 0, 0.3);
      },
      p);
  return p;
}

struct PassResult {
  double loss = 0;
  std::vector<double> hidden;
};

PassResult pass(const TrainedNetwork& trained, const Example& e, Tape tape, Arena& arena,
                Parameters* gradients) {
  arena.reset();
  tape.ops = &trained.ops();
  tape.token_embedding = trained.values.token_embedding.weight;
  tape.row_keys = e.row_keys;
  const Backend& b = *trained.network.backend;
  const View hidden = backbone_forward(trained.network, e.batch, {}, arena, {}, &tape);
  PassResult r;
  r.hidden.resize(static_cast<size_t>(hidden.rows * hidden.cols));
  b.copy_to_host(hidden, std::span(r.hidden));
  const View d_hidden = b.allocate(arena, hidden.rows, hidden.cols);
  std::vector<double> losses(e.targets.ids.size());
  language_model_loss(trained, hidden, e.targets, 0.25, arena, losses, {}, d_hidden, gradients);
  for (const double loss : losses) r.loss += 0.25 * loss;
  if (gradients != nullptr) {
    backbone_backward(trained, e.batch, tape, d_hidden, arena, gradients);
  }
  return r;
}

ModelConfig full_config(Arm arm, bool tied) {
  ModelConfig config = test::tiny_config(arm);
  config.norm_bias = config.attention_bias = config.mlp_bias = config.classifier_bias = true;
  config.tie_word_embeddings = tied;
  return config;
}

void check_against_differences(const ModelConfig& config, const Tape& tape) {
  const auto backend = must_make({.name = "ref", .format = WeightFormat::f64, .threads = 1});
  TrainedNetwork trained =
      make_trained_network(config, backend, random_parameters(config, Dtype::f64));
  Parameters gradients = make_parameters(config, Dtype::f64);
  Arena arena;
  const Example e = example(config);
  pass(trained, e, tape, arena, &gradients);
  // Along one random direction per tensor: the derivative is the inner product with the gradient.
  uint64_t stream = 100;
  const auto check = [&](const std::string& name, View value, ConstView gradient) {
    ++stream;
    const auto direction = [&](int64_t i) {
      return 2 * random_uniform(8, stream, static_cast<uint64_t>(i)) - 1;
    };
    double expected = 0;
    for (int64_t r = 0; r < value.rows; ++r) {
      for (int64_t c = 0; c < value.cols; ++c) {
        expected += gradient.row<double>(r)[c] * direction(r * value.cols + c);
      }
    }
    const auto loss_at = [&](double step) {
      for (int64_t i = 0; i < value.rows * value.cols; ++i) {
        value.row<double>(i / value.cols)[i % value.cols] += step * direction(i);
      }
      trained.repack();
      const double loss = pass(trained, e, tape, arena, nullptr).loss;
      for (int64_t i = 0; i < value.rows * value.cols; ++i) {
        value.row<double>(i / value.cols)[i % value.cols] -= step * direction(i);
      }
      return loss;
    };
    constexpr double kStep = 1e-5;
    const double actual = (loss_at(kStep) - loss_at(-kStep)) / (2 * kStep);
    EXPECT_NEAR(actual, expected, 1e-7 * std::max(1.0, std::abs(expected))) << name;
  };
  int checked = 0;
  for_each_tensor(
      config,
      [&](const TensorSpec& spec, Parameter& value, Parameter& gradient) {
        ++checked;
        if (!spec.tied) check(spec.name + ".weight", value.weight, gradient.weight);
        if (spec.bias) check(spec.name + ".bias", value.bias, gradient.bias);
      },
      trained.values, gradients);
  EXPECT_GT(checked, 30);
}

TEST(Backward, EveryTensorOfAnEncoder) {
  check_against_differences(full_config(kEncoder, true), {.attention_out_dropout = 0.1});
}

TEST(Backward, EveryTensorOfADecoderWithAProjectionOfItsOwn) {
  check_against_differences(full_config(kDecoder, false), {.attention_out_dropout = 0});
}

// A pass that keeps gives what a plain one gives.
TEST(Backward, TapeChangesNoHiddenState) {
  const ModelConfig config = test::tiny_config(kEncoder);
  const auto backend = must_make({.name = "ref", .threads = 2});
  const test::TinyWeights weights(config);
  const TensorSource source = TensorSource::from_tensors(weights.tensors(), nullptr, "tiny");
  Parameters values = make_parameters(config, Dtype::f32);
  std::vector<std::string> warnings;
  ASSERT_TRUE(read_parameters(config, source, {}, &values, &warnings).ok());
  const TrainedNetwork trained = make_trained_network(config, backend, values);
  const Network network = test::tiny_network(config, backend);
  const Example e = example(config);
  Arena arena;
  const View plain = backbone_forward(network, e.batch, {}, arena);
  std::vector<double> expected(static_cast<size_t>(plain.rows * plain.cols));
  backend->copy_to_host(plain, std::span(expected));
  EXPECT_EQ(pass(trained, e, {}, arena, nullptr).hidden, expected);
  EXPECT_EQ(pass(trained, e, {.recompute = true}, arena, nullptr).hidden, expected);
  EXPECT_NE(pass(trained, e, {.attention_out_dropout = 0.1}, arena, nullptr).hidden, expected);
}

// Recomputing and threads change no bit of a gradient.
TEST(Backward, SameBitsRecomputedAndOnMoreThreads) {
  const ModelConfig config = test::tiny_config(kDecoder);
  const Example e = example(config);
  const auto gradient_of = [&](const std::shared_ptr<const Backend>& backend, bool recompute) {
    const TrainedNetwork trained =
        make_trained_network(config, backend, random_parameters(config, Dtype::f32));
    Parameters gradients = make_parameters(config, Dtype::f32);
    Arena arena;
    pass(trained, e, {.attention_out_dropout = 0.1, .recompute = recompute}, arena, &gradients);
    return std::string(reinterpret_cast<const char*>(gradients.data->data()),
                       gradients.data->size());
  };
  for (const WeightFormat format : {WeightFormat::f32, WeightFormat::bf16}) {
    const std::string one =
        gradient_of(must_make({.name = "cpu", .format = format, .threads = 1}), false);
    EXPECT_TRUE(one ==
                gradient_of(must_make({.name = "cpu", .format = format, .threads = 1}), true));
    EXPECT_TRUE(one ==
                gradient_of(must_make({.name = "cpu", .format = format, .threads = 2}), false));
  }
}

}  // namespace
}  // namespace ettin
