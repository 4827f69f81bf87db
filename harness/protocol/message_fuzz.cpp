// Lines of a subject that may say anything: each is a message with members of the right types, or a ProtocolError.
#include "harness/protocol/mistakes.hpp"

#include <cstdint>

using namespace pidleak::protocol;

namespace {

template <class Call>
void may_refuse(Call &&call) {
  try {
    call();
  } catch (const ProtocolError &) {
  }
}

void read_all(const Message &message) {
  find_mistakes(message);
  for (const auto &member : message.fields().items()) {
    const auto &name = member.key();
    may_refuse([&] { (void)message.text(name); });
    may_refuse([&] { (void)message.integer(name); });
    may_refuse([&] { (void)message.flag(name); });
    may_refuse([&] { (void)message.texts(name); });
    may_refuse([&] { (void)message.pids(name); });
    may_refuse([&] { (void)message.pid(name); });
    may_refuse([&] {
      for (const auto &object : message.objects(name))
        read_all(object);
    });
  }
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size) {
  LineBuffer lines;
  lines.append({reinterpret_cast<const char *>(data), size});
  may_refuse([&] {
    while (auto line = lines.next())
      may_refuse([&] { read_all(Message::parse(*line, "event")); });
  });
  return 0;
}
