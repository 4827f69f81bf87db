include(${CMAKE_CURRENT_LIST_DIR}/pidleakTargets.cmake)
include(${CMAKE_CURRENT_LIST_DIR}/pidleakGuard.cmake)
