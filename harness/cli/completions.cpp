// pidleak completions: the script with which a shell completes pidleak's command lines. The build writes and installs
// them; the verb is hidden from the help since nobody else needs it.
#include "harness/cli/completion.hpp"
#include "harness/cli/verbs.hpp"

#include <cstdio>
#include <memory>

namespace pidleak::cli {

void add_completions(CLI::App &app, int &) {
  auto shell = std::make_shared<std::string>();
  auto *command = app.add_subcommand("completions", "Print the completion script of a shell")->group("");
  command->add_option("SHELL", *shell, "bash, zsh or fish")->required()->check(CLI::IsMember({"bash", "zsh", "fish"}));
  command->callback([&app, shell] {
    auto described = describe_for_completion(app);
    auto script = *shell == "bash"  ? bash_completion(described)
                  : *shell == "zsh" ? zsh_completion(described)
                                    : fish_completion(described);
    std::fputs(script.c_str(), stdout);
  });
}

} // namespace pidleak::cli
