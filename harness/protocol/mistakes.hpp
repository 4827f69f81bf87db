// What a subject says that means nothing, for the author of an adapter.
#pragma once

#include "harness/protocol/message.hpp"

#include <map>
#include <string>
#include <vector>

namespace pidleak::protocol {

/// Every event and its members, as in PROTOCOL.md.
const std::map<std::string, std::vector<std::string>> &known_events();

/// An event, a member or a word of hello that the protocol does not know, each as a sentence. The driver ignores them,
/// and so a misspelt one does nothing, silently. Members of a wrong type are no matter of this: reading them throws.
std::vector<std::string> find_mistakes(const Message &event);

} // namespace pidleak::protocol
