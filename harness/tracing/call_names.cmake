# Makes call_names.inc: the numbers and names of this machine's system calls, {0, "read"}, ...
set(source ${CMAKE_CURRENT_BINARY_DIR}/tracing/call_names.c)
file(WRITE ${source} "#include <sys/syscall.h>\n")
execute_process(COMMAND ${CMAKE_CXX_COMPILER} -x c -E -dM ${source} OUTPUT_VARIABLE macros COMMAND_ERROR_IS_FATAL ANY)
string(REGEX MATCHALL "#define __NR_[a-z0-9_]+ [0-9]+" calls "${macros}")
list(SORT calls)
list(TRANSFORM calls REPLACE "#define __NR_([a-z0-9_]+) ([0-9]+)" "{\\2, \"\\1\"},")
list(JOIN calls "\n" calls)
file(CONFIGURE OUTPUT ${CMAKE_CURRENT_BINARY_DIR}/tracing/call_names.inc CONTENT "${calls}\n" @ONLY)
