#include "harness/census/genealogy.hpp"

#include "harness/base/spelling.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <algorithm>
#include <iterator>
#include <map>
#include <sstream>
#include <stdexcept>
#include <string_view>
#include <utility>

namespace pidleak::census {

using os::TaskEvent;

namespace {

// How long a new program takes to get its arguments once its exec was told: those of one that ends soon would be missed
// by a wait for them.
constexpr std::chrono::microseconds argument_bound{200}, longest_start{20'000};
// Only of what forks the command line will be asked for, and it is read then at the latest. That may be too late for
// one that ends with its fork; so all are read at once as long as that takes no more than this much of the time.
constexpr milliseconds eager_at_least{5};
constexpr int eager_of = 1000;
constexpr std::size_t longest_command = 2048; // bytes that are kept of a command line

// What they are asked for is done by a daemon: of containers, of services, of a clock.
constexpr std::string_view hand_over[] = {"docker", "docker-compose", "podman",  "nerdctl",     "crictl",
                                          "ctr",    "kubectl",        "oc",      "systemd-run", "systemctl",
                                          "at",     "batch",          "crontab", "machinectl"};

std::vector<std::string> shortened(std::vector<std::string> words) {
  std::size_t kept = 0;
  for (std::size_t i = 0; i < words.size(); ++i) {
    if (kept + words[i].size() > longest_command) {
      words[i] = words[i].substr(0, longest_command - kept) + "...";
      words.resize(i + 1);
    }
    kept += words[i].size();
  }
  return words;
}

} // namespace

Genealogy::Genealogy(pid_t command, std::vector<std::string> command_line,
                     std::chrono::steady_clock::time_point started)
    : started_(started) {
  command_ = make(command, 0);
  nodes_[command_].program = std::make_shared<std::vector<std::string>>(shortened(std::move(command_line)));
}

double Genealogy::since_start(std::chrono::steady_clock::time_point at) const {
  return std::max(0.0, std::chrono::duration<double, std::milli>(at - started_).count());
}

Genealogy::Id Genealogy::make(pid_t pid, double at_ms) {
  nodes_[++last_] = {.pid = pid, .started_ms = at_ms};
  ids_[pid] = last_;
  return last_;
}

/// 0: no process of that pid is known.
Genealogy::Id Genealogy::find(pid_t pid) const {
  auto found = ids_.find(pid);
  return found == ids_.end() ? 0 : found->second;
}

void Genealogy::add(const std::vector<TaskEvent> &events, const ReadCommandLine &read) {
  for (const auto &event : events)
    switch (event.kind) {
    case TaskEvent::Kind::lost:
      state_ = GenealogyState::partial;
      lacks_ = "the kernel had no room for all events";
      break;
    case TaskEvent::Kind::fork:
      fork(event);
      break;
    case TaskEvent::Kind::exit:
      exit(event);
      break;
    case TaskEvent::Kind::exec:
      exec(event);
      break;
    }
  auto since = Clock::now();
  bool eager = may_be_eager() && !events.empty();
  auto soon = Deadline::at(eager ? events.back().at + argument_bound : Clock::time_point());
  do
    read_programs(read);
  while (!due_.empty() && !soon.passed());
  eager_for_ += Clock::now() - since;
}

bool Genealogy::may_be_eager() const { return eager_for_ < eager_at_least + (Clock::now() - started_) / eager_of; }

void Genealogy::exec(const TaskEvent &event) {
  if (std::find(std::begin(hand_over), std::end(hand_over), event.name) != std::end(hand_over))
    handed_over_.insert(event.name);
  auto id = find(event.pid);
  if (id != 0 && id == command_ && !std::exchange(has_command_executed_, true)) // that is known
    return;
  if (id == 0 || nodes_[id].ended_ms) // its fork is still on its way, from another CPU
    id = make(event.pid, since_start(event.at));
  auto &node = nodes_[id];
  if (node.is_read && node.read_at > event.at) // it was this program's that was read, and not the one's before
    *node.program = {node.name};
  node.program = std::make_shared<std::vector<std::string>>(1, event.name);
  node.name = event.name;
  node.is_read = false;
  if (may_be_eager())
    due_.push_back({.id = id, .program = node.program, .until = Deadline::after(longest_start)});
}

void Genealogy::read_programs(const ReadCommandLine &read) {
  std::erase_if(due_, [&](const Due &due) {
    auto found = nodes_.find(due.id);
    if (found == nodes_.end())
      return true;
    auto &node = found->second;
    if (node.is_read || node.ended_ms || node.program != due.program)
      return true; // it is too late
    node.read_at = Clock::now();
    if (auto words = read(node.pid); !words.empty()) {
      *node.program = shortened(std::move(words));
      node.is_read = true;
    }
    return node.is_read || due.until.passed();
  });
}

void Genealogy::fork(const TaskEvent &event) {
  auto parent = find(event.parent);
  auto id = find(event.pid);
  if (event.pid == event.parent) { // a thread
    if (id != 0)
      ++nodes_[id].threads;
    return;
  }
  if (id == command_ && !nodes_[id].ended_ms) // of this process
    return;
  if (parent == 0 && event.parent != ::getpid()) { // its fork is still on its way, from another CPU
    parent = make(event.parent, since_start(event.at));
    nodes_[parent].program = std::make_shared<std::vector<std::string>>();
  }
  bool is_late = id != 0 && !nodes_[id].ended_ms && nodes_[id].parent == 0; // its exec was told first
  if (!is_late)
    id = make(event.pid, since_start(event.at));
  auto &node = nodes_[id];
  node.started_ms = since_start(event.at);
  node.parent = parent;
  if (parent == 0)
    return;
  ++nodes_[parent].children;
  auto &creator = nodes_[parent];
  node.parents_program = creator.program;
  if (!creator.is_read)
    due_.push_back({.id = parent, .program = creator.program, .until = Deadline::after(longest_start)});
  if (!node.program) // until it executes another
    node.program = node.parents_program;
  else if (node.program->empty() && node.parents_program)
    *node.program = *node.parents_program;
}

void Genealogy::exit(const TaskEvent &event) {
  auto id = find(event.pid);
  if (id == 0 || nodes_[id].ended_ms || --nodes_[id].threads > 0)
    return;
  nodes_[id].ended_ms = since_start(event.at);
  if (nodes_[id].children > 0)
    return;
  ended_.push_back(id);
  while (ended_.size() > most_ended_) {
    forget_if_useless(ended_.front());
    ended_.pop_front();
  }
}

/// With the ancestors that were kept for it alone.
void Genealogy::forget_if_useless(Id id) {
  while (id != 0 && id != command_) {
    auto found = nodes_.find(id);
    if (found == nodes_.end() || !found->second.ended_ms || found->second.children > 0)
      return;
    auto parent = found->second.parent;
    if (auto last = ids_.find(found->second.pid); last != ids_.end() && last->second == id)
      ids_.erase(last);
    nodes_.erase(found);
    if (auto of = nodes_.find(parent); of != nodes_.end())
      --of->second.children;
    id = parent;
  }
}

std::vector<Creator> Genealogy::creators_of(pid_t pid) const {
  std::vector<Creator> creators;
  auto child = nodes_.find(find(pid));
  while (child != nodes_.end()) {
    auto parent = nodes_.find(child->second.parent);
    if (parent == nodes_.end())
      break;
    const auto &program = child->second.parents_program;
    creators.push_back({.pid = parent->second.pid,
                        .command_line = program ? *program : std::vector<std::string>{},
                        .started_ms = parent->second.started_ms,
                        .ended_ms = parent->second.ended_ms});
    child = parent;
  }
  return creators;
}

std::vector<Genealogy::Known> Genealogy::all() const {
  std::vector<Known> all;
  all.reserve(nodes_.size());
  for (const auto &[id, node] : nodes_)
    if (find(node.pid) == id) // else its pid is another's by now
      all.push_back({.id = id, .pid = node.pid, .name = node.name, .has_ended = node.ended_ms.has_value()});
  return all;
}

std::vector<Genealogy::Life> Genealogy::lives() const {
  std::map<Id, std::size_t> places;
  for (const auto &[id, node] : nodes_)
    places.emplace(id, 0);
  std::size_t next = 0;
  for (auto &[id, place] : places)
    place = next++;
  std::vector<Life> lives;
  lives.reserve(places.size());
  for (const auto &[id, place] : places) {
    const auto &node = nodes_.at(id);
    auto parent = places.find(node.parent);
    lives.push_back({.pid = node.pid,
                     .parent = parent == places.end() ? std::nullopt : std::optional(parent->second),
                     .command_line = node.program ? *node.program : std::vector<std::string>{},
                     .started_ms = node.started_ms,
                     .ended_ms = node.ended_ms});
  }
  return lives;
}

Genealogy::Orphan Genealogy::orphan(pid_t pid) const {
  Orphan orphan;
  auto found = nodes_.find(find(pid));
  if (found == nodes_.end())
    return orphan;
  const auto &node = found->second;
  auto first_word = node.program && !node.program->empty() ? node.program->front() : node.name;
  orphan.name = first_word.substr(first_word.rfind('/') + 1);
  if (node.parents_program)
    orphan.creator = *node.parents_program;
  if (auto parent = nodes_.find(node.parent); parent != nodes_.end() && parent->second.ended_ms && node.ended_ms)
    orphan.ended_first = *node.ended_ms < *parent->second.ended_ms;
  return orphan;
}

// A line a process: id, parent's id, pid, start, end or -1, and the bytes of its parent's program. Its words follow,
// each with a 0 byte behind it.
std::string Genealogy::write() const {
  std::string text = fmt::format("{} {}\n{}\n{}\n", command_, spell(state_), lacks_, fmt::join(handed_over_, " "));
  for (const auto &[id, node] : nodes_) {
    std::string words;
    if (node.parents_program)
      for (const auto &word : *node.parents_program)
        words += word + '\0';
    text += fmt::format("{} {} {} {} {} {}\n", id, node.parent, node.pid, node.started_ms, node.ended_ms.value_or(-1),
                        words.size());
    text += words;
  }
  return text;
}

Genealogy Genealogy::read(const std::string &text) {
  Genealogy genealogy("");
  std::istringstream in(text);
  auto refuse = [] { throw std::invalid_argument("this is no genealogy that pidleak has written"); };
  std::string word;
  std::string programs;
  if (!(in >> genealogy.command_ >> word) || in.get() != '\n' || !std::getline(in, genealogy.lacks_) ||
      !std::getline(in, programs))
    refuse();
  std::istringstream names(programs);
  for (std::string name; names >> name;)
    genealogy.handed_over_.insert(name);
  if (auto state = parse_spelling<GenealogyState>(word))
    genealogy.state_ = *state;
  else
    refuse();
  Id id = 0;
  while (in >> id) {
    Node node;
    double ended = -1;
    std::size_t size = 0;
    if (!(in >> node.parent >> node.pid >> node.started_ms >> ended >> size) || in.get() != '\n' || size > text.size())
      refuse();
    if (ended >= 0)
      node.ended_ms = ended;
    std::string bytes(size, '\0');
    if (!in.read(bytes.data(), static_cast<std::streamsize>(size)))
      refuse();
    std::vector<std::string> words;
    for (std::size_t at = 0, end = 0; at < size; at = end + 1) {
      end = bytes.find('\0', at);
      if (end == bytes.npos)
        refuse();
      words.push_back(bytes.substr(at, end - at));
    }
    node.parents_program = std::make_shared<std::vector<std::string>>(std::move(words));
    if (auto &last = genealogy.ids_[node.pid]; last < id) // of two with one pid the later one is there
      last = id;
    genealogy.last_ = std::max(genealogy.last_, id);
    genealogy.nodes_.emplace(id, std::move(node));
  }
  return genealogy;
}

} // namespace pidleak::census
