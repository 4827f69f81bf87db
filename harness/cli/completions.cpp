// pidleak completions: the script with which a shell completes pidleak's command lines. The build writes and installs
// them; the verb is hidden from the help since only the build needs it.
#include "harness/cli/completion.hpp"
#include "harness/cli/verbs.hpp"

#include <cstdio>
#include <memory>

namespace pidleak::cli {

Command completions_verb(Command (*application)()) {
  auto shell = std::make_shared<std::string>();
  return {.name = "completions",
          .summary = "Print the completion script of a shell",
          .options = {{.name = "SHELL",
                       .into = shell.get(),
                       .summary = "bash, zsh or fish",
                       .words = {"bash", "zsh", "fish"},
                       .only_words = true,
                       .required = true}},
          .hidden = true,
          .run = [=](const Given &) {
            auto described = describe_for_completion(application());
            auto script = *shell == "bash"  ? bash_completion(described)
                          : *shell == "zsh" ? zsh_completion(described)
                                            : fish_completion(described);
            std::fputs(script.c_str(), stdout);
            return 0;
          }};
}

} // namespace pidleak::cli
