# What `cmake --install` puts down: the library, its public headers, the program, the embedded
# models, and the files that find_package(ettin) and pkg-config read.
include(CMakePackageConfigHelpers)

set(config_dir ${CMAKE_INSTALL_LIBDIR}/cmake/ettin)
install(TARGETS ettin EXPORT ettin-targets ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(DIRECTORY include/ettin DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(DIRECTORY models/ DESTINATION ${CMAKE_INSTALL_DATADIR}/ettin/models
        PATTERN "seedling-*" EXCLUDE)  # the tests' fixture
install(DIRECTORY recipes/ DESTINATION ${CMAKE_INSTALL_DATADIR}/ettin/recipes)
install(EXPORT ettin-targets NAMESPACE ettin:: DESTINATION ${config_dir})

configure_package_config_file(cmake/ettin-config.cmake.in ettin-config.cmake
  INSTALL_DESTINATION ${config_dir})
write_basic_package_version_file(ettin-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/ettin-config.cmake
              ${PROJECT_BINARY_DIR}/ettin-config-version.cmake DESTINATION ${config_dir})

configure_file(cmake/ettin.pc.in ettin.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/ettin.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
