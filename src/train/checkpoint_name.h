// "step0000200": the folder of a checkpoint.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace ettin {

std::string checkpoint_name(std::string_view tag, int64_t phase_step);
// The tag, where `name` is that of a checkpoint: letters, '-' or '_', then seven digits or more.
std::optional<std::string> tag_of_checkpoint(std::string_view name);
// Whether tag_of_checkpoint would find it again.
bool is_checkpoint_tag(std::string_view tag);

}  // namespace ettin
