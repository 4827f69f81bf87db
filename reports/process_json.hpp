// A remaining process as JSON, and back.
#pragma once

#include "reports/json_members.hpp"

namespace pidleak::reports {

Json process_to_json(const census::RemainingProcess &process);
/// Throws std::invalid_argument naming the member that is missing or wrong.
census::RemainingProcess process_from_json(const Json &json);

} // namespace pidleak::reports
