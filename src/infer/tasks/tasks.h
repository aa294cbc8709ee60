// Request to response, one function per task. Each checks that the model fits, encodes, runs ragged
// batches, computes the vocabulary head only on the rows it needs, and shapes the answer.
#pragma once

#include <span>
#include <vector>

#include "ettin/ettin.h"
#include "infer/session.h"

namespace ettin {

Result<std::vector<FillMaskResult>> fill_mask(const Session& session,
                                              std::span<const TextInput> inputs,
                                              const FillMaskOptions& options);

Result<std::vector<GenerateResult>> generate(const Session& session,
                                             std::span<const TextInput> prompts,
                                             const GenerateOptions& options,
                                             const GenerateCallback& callback);

Result<EmbedResult> embed(const Session& session, std::span<const TextInput> inputs,
                          const EmbedOptions& options);

Result<std::vector<ScoreResult>> score(const Session& session, std::span<const TextInput> inputs,
                                       const ScoreOptions& options);

Result<std::vector<ClassifyResult>> classify(const Session& session,
                                             std::span<const TextInput> inputs,
                                             const ClassifyOptions& options);

Result<std::vector<TokenClassifyResult>> token_classify(const Session& session,
                                                        std::span<const TextInput> inputs,
                                                        const TokenClassifyOptions& options);

Result<std::vector<ForwardOutput>> forward(const Session& session,
                                           std::span<const ForwardInput> inputs);

}  // namespace ettin
