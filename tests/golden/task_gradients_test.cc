// Gradients through the heads of tasks against PyTorch in float64 (../shared/data/golden/torch):
// classification of sequences, and the contrastive loss of retrieval.
#include <algorithm>

#include "backend/test_backends.h"
#include "golden/training_golden.h"

namespace ettin {
namespace {

using test::by_name;

void set(View to, std::span<const double> values) {
  for (int64_t i = 0; i < to.rows * to.cols; ++i) {
    const double value = values[static_cast<size_t>(i)];
    if (to.dtype == Dtype::f64) {
      to.row<double>(i / to.cols)[i % to.cols] = value;
    } else {
      to.row<float>(i / to.cols)[i % to.cols] = static_cast<float>(value);
    }
  }
}

// The weights of `model` in the shape of `config`, which has another head.
Parameters with_other_head(const std::string& model, const ModelConfig& config, Dtype dtype) {
  const auto stored = by_name(test::torch_config(model), test::torch_parameters(model, dtype));
  Parameters values = make_parameters(config, dtype);
  for_each_tensor(
      config,
      [&](const TensorSpec& spec, Parameter& slot) {
        const auto found = stored.find(test::golden_name(spec) + ".weight");
        if (found != stored.end()) set(slot.weight, found->second);
      },
      values);
  return values;
}

struct Forward {
  TrainedNetwork trained;
  Parameters gradients;
  Arena arena;
  Tape tape;
  Batch batch;
  View hidden, d_hidden;

  Forward(const ModelConfig& config, const std::shared_ptr<const Backend>& backend,
          Parameters values, const std::vector<Json>& lists)
      : trained(make_trained_network(config, backend, std::move(values))),
        gradients(make_parameters(config, backend->activation_dtype())) {
    for (const Json& list : lists) {
      for (const Json& ids : list) batch.append(ids.get<std::vector<int32_t>>());
    }
    tape.ops = &trained.ops();
    tape.token_embedding = trained.values.token_embedding.weight;
    hidden = backbone_forward(trained.network, batch, {}, arena, {}, &tape);  // (T, H)
    d_hidden = backend->allocate(arena, hidden.rows, hidden.cols);
  }

  std::map<std::string, std::vector<double>> backward() {
    backbone_backward(trained, batch, tape, d_hidden, arena, &gradients);
    return by_name(trained.network.config, gradients);
  }
};

struct Bound {
  double loss, gradient;
};

void check_classification(const std::shared_ptr<const Backend>& backend, Bound bound) {
  const Json golden = test::must_read_json(std::string(test::kTorchFolder) + "/gradients.json");
  for (const std::string size : {"micro", "tiny"}) {
    for (const auto& [name, pooling] :
         {std::pair{"classify-cls", Pooling::cls}, std::pair{"classify-mean", Pooling::mean}}) {
      SCOPED_TRACE(size + "." + name);
      const Json& expected = golden[size + "." + name];
      ModelConfig config = test::torch_config(size + "-encoder");
      config.head = Head::sequence_classification;
      config.classifier_pooling = pooling;
      config.num_labels = 3;
      Parameters values = with_other_head(size + "-encoder", config, backend->activation_dtype());
      std::vector<double> classifier;
      for (const Json& row : expected["classifier.weight"]) {
        for (const Json& value : row) classifier.push_back(value.get<double>());
      }
      set(values.classifier.weight, classifier);
      set(values.classifier.bias, test::to_doubles(expected["classifier.bias"]));

      Forward f(config, backend, std::move(values), {expected["ids"]});
      const auto labels = expected["y"].get<std::vector<int32_t>>();
      std::vector<double> losses(labels.size());
      classification_loss(f.trained, f.hidden, f.batch.starts, labels,
                          1 / static_cast<double>(labels.size()), f.arena, losses, f.d_hidden,
                          &f.gradients);
      double loss = 0;
      for (const double one : losses) loss += one / static_cast<double>(losses.size());
      const double wanted = expected["loss"].get<double>();
      EXPECT_NEAR(loss, wanted, bound.loss * wanted);
      EXPECT_LE(test::worst_digest_error(f.backward(), expected["digests"]), bound.gradient);
    }
  }
}

TEST(ClassificationGradients, RefInDouble) {
  ETTIN_NEED_SHARED(test::kGradients);
  check_classification(must_make({.name = "ref", .format = WeightFormat::f64}), {1e-12, 1e-10});
}

TEST(ClassificationGradients, CpuOnEveryInstructionSet) {
  ETTIN_NEED_SHARED(test::kGradients);
  for (const auto& backend : cpu_backends(2)) {
    SCOPED_TRACE(backend->isa());
    check_classification(backend, {1e-5, 1e-4});
  }
}

// Cross-entropy of queries against documents, s = scale cos(q, d), query i belonging to document i.
// Gradients of the pooled rows, queries first.
double contrastive_loss(const std::vector<std::vector<double>>& rows, size_t queries, double scale,
                        std::vector<std::vector<double>>* d_rows) {
  const auto dot = [](const std::vector<double>& a, const std::vector<double>& b) {
    double sum = 0;
    for (size_t c = 0; c < a.size(); ++c) sum += a[c] * b[c];
    return sum;
  };
  d_rows->assign(rows.size(), std::vector<double>(rows[0].size(), 0));
  double loss = 0;
  for (size_t q = 0; q < queries; ++q) {
    std::vector<double> score;
    for (size_t d = queries; d < rows.size(); ++d) {
      score.push_back(scale * dot(rows[q], rows[d]) /
                      std::sqrt(dot(rows[q], rows[q]) * dot(rows[d], rows[d])));
    }
    double sum = 0;
    for (const double s : score) sum += std::exp(s);
    loss += (std::log(sum) - score[q]) / static_cast<double>(queries);
    for (size_t d = queries; d < rows.size(); ++d) {
      const size_t j = d - queries;
      const double g = (std::exp(score[j]) / sum - (j == q ? 1 : 0)) / static_cast<double>(queries);
      const double qq = dot(rows[q], rows[q]), dd = dot(rows[d], rows[d]);
      const double norm = std::sqrt(qq * dd), cosine = score[j] / scale;
      for (size_t c = 0; c < rows[q].size(); ++c) {
        (*d_rows)[q][c] += g * scale * (rows[d][c] / norm - cosine * rows[q][c] / qq);
        (*d_rows)[d][c] += g * scale * (rows[q][c] / norm - cosine * rows[d][c] / dd);
      }
    }
  }
  return loss;
}

void check_contrastive(const std::shared_ptr<const Backend>& backend, Bound bound) {
  const Json golden = test::must_read_json(std::string(test::kTorchFolder) + "/gradients.json");
  for (const std::string size : {"micro", "tiny"}) {
    SCOPED_TRACE(size);
    const Json& expected = golden[size + ".contrastive-mean"];
    ModelConfig config = test::torch_config(size + "-encoder");
    config.head = Head::none;
    Forward f(config, backend,
              with_other_head(size + "-encoder", config, backend->activation_dtype()),
              {expected["queries"], expected["documents"]});
    const View pooled = backend->allocate(f.arena, f.batch.sequences(), f.hidden.cols);
    backend->pool(f.hidden, f.batch.starts, Pooling::mean, pooled);
    std::vector<std::vector<double>> rows, d_rows;
    for (int64_t n = 0; n < pooled.rows; ++n) {
      rows.push_back(test::to_doubles(ConstView(pooled.slice_rows(n, 1))));
    }
    const double loss = contrastive_loss(rows, expected["queries"].size(),
                                         std::stod(expected["scale"].dump()), &d_rows);
    const double wanted = expected["loss"].get<double>();
    EXPECT_NEAR(loss, wanted, bound.loss * wanted);
    const View d_pooled = backend->allocate(f.arena, pooled.rows, pooled.cols);
    for (int64_t n = 0; n < pooled.rows; ++n) {
      set(d_pooled.slice_rows(n, 1), d_rows[static_cast<size_t>(n)]);
    }
    f.trained.ops().pool_backward(d_pooled, f.batch.starts, Pooling::mean, f.d_hidden);
    EXPECT_LE(test::worst_digest_error(f.backward(), expected["digests"]), bound.gradient);
  }
}

TEST(ContrastiveGradients, RefInDouble) {
  ETTIN_NEED_SHARED(test::kGradients);
  check_contrastive(must_make({.name = "ref", .format = WeightFormat::f64}), {1e-11, 1e-10});
}

TEST(ContrastiveGradients, CpuOnEveryInstructionSet) {
  ETTIN_NEED_SHARED(test::kGradients);
  for (const auto& backend : cpu_backends(2)) {
    SCOPED_TRACE(backend->isa());
    check_contrastive(backend, {1e-5, 1e-4});
  }
}

}  // namespace
}  // namespace ettin
