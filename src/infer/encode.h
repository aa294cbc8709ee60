// Texts to ids under a model's rules: template, positions, truncation.
#pragma once

#include <span>
#include <string_view>
#include <vector>

#include "ettin/tasks.h"
#include "infer/session.h"

namespace ettin {

// An error that names the remedy when the model has no tokenizer.
Status need_tokenizer(const Session& session);

// An error when the model was loaded without its weights.
Status need_weights(const Session& session);

// An error for a text that the tokenizer's 32-bit offsets cannot describe. `index` for the message.
Status check_text_size(const TextInput& input, size_t index);

// Encodes every input; `with_offsets` as in EncodeOptions. A text longer than the model is an error
// that names its index and length, or is cut on the right. `limit` 0: the model's own.
Result<std::vector<Encoding>> encode_inputs(const Session& session,
                                            std::span<const TextInput> inputs, OverLength rule,
                                            bool with_offsets, int64_t limit = 0);

// The error of a task that the model's kind or head cannot do.
Status wrong_task(const Session& session, std::string_view task, std::string_view needs,
                  std::string_view instead);

}  // namespace ettin
