# Tests that fail if they leave a process behind: each runs under `pidleak guard`, which tells on standard error what
# remains and why, ends it, and exits with 23 if the test itself has passed.
#
#   pidleak_guard_test(NAME name COMMAND command [arguments...]
#     [TIMEOUT seconds] [GRACE seconds] [SUPPRESSIONS file] [WORKING_DIRECTORY directory] [LABELS labels...])
#
# is add_test(NAME COMMAND): names of executable targets and generator expressions work as there.
#   TIMEOUT       after it the command gets SIGTERM, then SIGKILL; what is left of it is still reported, since ctest's
#                 own TIMEOUT is set somewhat later. Without it ctest's default holds, and nothing is reported then.
#   GRACE         how long processes may take to leave after the command; 2
#   SUPPRESSIONS  a JSON file of rules for processes that may remain
#
#   pidleak_guard_all_tests([GRACE seconds] [SUPPRESSIONS file])
#
# puts every test under guard whose program is a target made AFTER this call, in this directory or below: those of
# add_test(NAME COMMAND target), gtest_discover_tests and catch_discover_tests. It can't cover
#   - tests whose COMMAND is no executable target (a script, an interpreter, $<TARGET_FILE:...>), nor those of
#     add_test(name command): CMake has no launcher for these. Use pidleak_guard_test, or guard ctest as a whole:
#     `pidleak guard -- ctest`;
#   - tests that set CROSSCOMPILING_EMULATOR or, from CMake 3.29, TEST_LAUNCHER of their target themselves;
#   - what is left of a test that ctest's TIMEOUT has ended.
# Where pidleak is a part of the build (FetchContent), a target whose tests are discovered after it was built needs
# add_dependencies(target pidleak): it is run under guard then.
#
# For both: a test with PASS_REGULAR_EXPRESSION or WILL_FAIL passes whatever its exit status says, so that a leak is
# shown in its output and no more.

# As options of `pidleak guard` in ${result}.
function(_pidleak_guard_options result grace suppressions)
  set(options "")
  if(NOT grace STREQUAL "")
    list(APPEND options --grace ${grace})
  endif()
  if(NOT suppressions STREQUAL "")
    # ctest runs tests elsewhere
    cmake_path(ABSOLUTE_PATH suppressions BASE_DIRECTORY ${CMAKE_CURRENT_SOURCE_DIR} NORMALIZE)
    list(APPEND options --suppressions ${suppressions})
  endif()
  set(${result} "${options}" PARENT_SCOPE)
endfunction()

# Ends the configuration where a call can't be meant as it stands. Reads the arg_ variables of the caller.
function(_pidleak_check_arguments caller known)
  if(arg_UNPARSED_ARGUMENTS)
    list(JOIN arg_UNPARSED_ARGUMENTS " " unknown)
    message(FATAL_ERROR "${caller}: not known: ${unknown}. It takes ${known}.")
  endif()
  if(arg_KEYWORDS_MISSING_VALUES)
    list(JOIN arg_KEYWORDS_MISSING_VALUES " and " empty)
    message(FATAL_ERROR "${caller}: ${empty} without a value. Give one, or leave the keyword out.")
  endif()
  foreach(keyword IN ITEMS TIMEOUT GRACE)
    if(DEFINED arg_${keyword} AND NOT arg_${keyword} MATCHES "^[0-9]+(\\.[0-9]+)?$")
      message(FATAL_ERROR "${caller}: ${keyword} ${arg_${keyword}} is not a number of seconds. Give one such as 10 or 0.5.")
    endif()
  endforeach()
endfunction()

# add_test() replaces the name of an executable target by its path, also of one that is made later. Behind guard it
# would not be seen as one, so that generator expressions do the same.
function(_pidleak_resolve_program result program)
  if(program MATCHES "^[A-Za-z0-9_.+:-]+$") # what can be a target's name: TARGET_EXISTS refuses the rest
    set(exists $<TARGET_EXISTS:${program}>)
    set(is_executable $<BOOL:$<${exists}:$<STREQUAL:$<TARGET_PROPERTY:${program},TYPE>,EXECUTABLE>>>)
    set(program $<${is_executable}:$<TARGET_FILE:${program}>>$<$<NOT:${is_executable}>:${program}>)
  endif()
  set(${result} "${program}" PARENT_SCOPE)
endfunction()

# When ctest has to end the test itself: later than guard, which needs `grace` and the time until SIGKILL to report.
function(_pidleak_outer_timeout result timeout grace)
  set(sum 10)
  foreach(seconds IN ITEMS ${timeout} ${grace})
    string(REGEX REPLACE "\\..*" "" whole ${seconds}) # math() knows whole numbers only
    math(EXPR sum "${sum} + ${whole} + 1")
  endforeach()
  set(${result} ${sum} PARENT_SCOPE)
endfunction()

function(pidleak_guard_test)
  cmake_parse_arguments(PARSE_ARGV 0 arg "" "NAME;TIMEOUT;GRACE;SUPPRESSIONS;WORKING_DIRECTORY" "COMMAND;LABELS")
  _pidleak_check_arguments(pidleak_guard_test
    "NAME, COMMAND, TIMEOUT, GRACE, SUPPRESSIONS, WORKING_DIRECTORY and LABELS")
  foreach(keyword IN ITEMS NAME COMMAND)
    if(NOT DEFINED arg_${keyword})
      message(FATAL_ERROR "pidleak_guard_test: ${keyword} is missing. Write pidleak_guard_test(NAME name COMMAND "
        "command [arguments...]).")
    endif()
  endforeach()
  _pidleak_guard_options(options "${arg_GRACE}" "${arg_SUPPRESSIONS}")
  if(DEFINED arg_TIMEOUT)
    list(APPEND options --timeout ${arg_TIMEOUT})
  endif()
  # Quoted one by one: a list that is expanded would lose the empty arguments and split those with a semicolon.
  set(arguments "")
  set(first TRUE)
  foreach(argument IN LISTS arg_COMMAND)
    if(first)
      _pidleak_resolve_program(argument "${argument}")
      set(first FALSE)
    endif()
    string(APPEND arguments " [====[${argument}]====]")
  endforeach()
  set(directory "")
  if(DEFINED arg_WORKING_DIRECTORY)
    set(directory WORKING_DIRECTORY "${arg_WORKING_DIRECTORY}")
  endif()
  cmake_language(EVAL CODE "add_test(NAME [====[${arg_NAME}]====] \${directory}
    COMMAND $<TARGET_FILE:pidleak::program> guard \${options} --${arguments})")
  if(DEFINED arg_LABELS)
    set_property(TEST ${arg_NAME} PROPERTY LABELS ${arg_LABELS})
  endif()
  if(DEFINED arg_TIMEOUT)
    if(NOT DEFINED arg_GRACE)
      set(arg_GRACE 2)
    endif()
    _pidleak_outer_timeout(outer ${arg_TIMEOUT} ${arg_GRACE})
    set_property(TEST ${arg_NAME} PROPERTY TIMEOUT ${outer})
  endif()
endfunction()

# The program's path: the emulator takes no generator expressions.
function(_pidleak_program result)
  get_target_property(is_imported pidleak::program IMPORTED)
  if(is_imported)
    get_target_property(program pidleak::program LOCATION)
  else() # FetchContent, add_subdirectory()
    get_target_property(directory pidleak::program RUNTIME_OUTPUT_DIRECTORY)
    set(program ${directory}/pidleak)
  endif()
  set(${result} ${program} PARENT_SCOPE)
endfunction()

function(pidleak_guard_all_tests)
  cmake_parse_arguments(PARSE_ARGV 0 arg "" "GRACE;SUPPRESSIONS" "")
  _pidleak_check_arguments(pidleak_guard_all_tests "GRACE and SUPPRESSIONS")
  _pidleak_guard_options(options "${arg_GRACE}" "${arg_SUPPRESSIONS}")
  _pidleak_program(pidleak)
  set(guard "${pidleak}" guard ${options} --)
  set(has_launcher FALSE)
  if(CMAKE_VERSION VERSION_GREATER_EQUAL 3.29)
    set(has_launcher TRUE)
    set(CMAKE_TEST_LAUNCHER "${guard}" ${CMAKE_TEST_LAUNCHER} PARENT_SCOPE)
  endif()
  # The emulator is what older versions start tests with, cross compiling or not, and what catch_discover_tests knows
  # whatever the version. With policy CMP0158 unset both are used: one guard within the other, which does no harm. Where
  # there is a launcher, that of a cross compilation stays as it is, since more than tests is run with it.
  if(NOT (has_launcher AND CMAKE_CROSSCOMPILING))
    set(CMAKE_CROSSCOMPILING_EMULATOR "${guard}" ${CMAKE_CROSSCOMPILING_EMULATOR} PARENT_SCOPE)
  endif()
endfunction()
