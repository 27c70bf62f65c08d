// swift-tools-version: 6.2

import PackageDescription

/// Held by every target: unsafe code is marked where it is written, and a warning is an error.
let strict: [SwiftSetting] = [
    .strictMemorySafety(),
    .treatAllWarnings(as: .error),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("InternalImportsByDefault"),
]

/// libFuzzer brings its own `main`, so the fuzzers exist only where `scripts/fuzz` asks for them.
let fuzzing = Context.environment["BULKHEAD_FUZZ"] != nil

let grdb: Target.Dependency = .product(name: "GRDB", package: "GRDB.swift")
let yams: Target.Dependency = .product(name: "Yams", package: "Yams")
let logging: Target.Dependency = .product(name: "Logging", package: "swift-log")
let lifecycle: Target.Dependency = .product(name: "ServiceLifecycle", package: "swift-service-lifecycle")
let unixSignals: Target.Dependency = .product(name: "UnixSignals", package: "swift-service-lifecycle")
let hummingbird: Target.Dependency = .product(name: "Hummingbird", package: "hummingbird")
let hummingbirdCore: Target.Dependency = .product(name: "HummingbirdCore", package: "hummingbird")
let arguments: Target.Dependency = .product(name: "ArgumentParser", package: "swift-argument-parser")
let configuration: Target.Dependency = .product(name: "Configuration", package: "swift-configuration")
let nioCore: Target.Dependency = .product(name: "NIOCore", package: "swift-nio")
let nioPosix: Target.Dependency = .product(name: "NIOPosix", package: "swift-nio")
let nioHTTPTypes: Target.Dependency = .product(name: "NIOHTTPTypes", package: "swift-nio-extras")
let httpTypes: Target.Dependency = .product(name: "HTTPTypes", package: "swift-http-types")
let nioHTTP: Target.Dependency = .product(name: "NIOHTTP1", package: "swift-nio")

let package = Package(
    name: "bulkhead",
    products: [
        .executable(name: "bulkhead", targets: ["bulkhead"]),
        .executable(name: "bulkhead-launcher", targets: ["bulkhead-launcher"]),
        // Preloaded by tests into a supervisor that is to end at the N-th write, sync, spawn or message.
        .library(name: "FaultPoints", type: .dynamic, targets: ["FaultPoints"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/apple/swift-configuration", from: "1.4.0", traits: []),
        .package(url: "https://github.com/apple/swift-http-types", from: "1.8.0"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.2"),
        .package(url: "https://github.com/apple/swift-nio-extras", from: "1.35.2"),
        .package(url: "https://github.com/groue/GRDB.swift", from: "7.10.0"),
        .package(url: "https://github.com/hummingbird-project/hummingbird", from: "2.28.1"),
        .package(url: "https://github.com/jpsim/Yams", from: "6.2.2"),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.13.0"),
    ],
    targets: [
        .target(name: "CLinux"),

        .target(name: "BulkheadCore", swiftSettings: strict),
        .target(name: "BulkheadLaunch", swiftSettings: strict),
        .target(name: "BulkheadPolicy", dependencies: ["BulkheadCore", yams], swiftSettings: strict),
        .target(
            name: "BulkheadSandbox",
            dependencies: ["BulkheadCore", "BulkheadPolicy", "CLinux"],
            swiftSettings: strict
        ),
        .target(
            name: "BulkheadHost",
            dependencies: ["BulkheadCore", "BulkheadLaunch", "CLinux", logging],
            swiftSettings: strict
        ),
        .target(name: "BulkheadStore", dependencies: ["BulkheadCore", grdb], swiftSettings: strict),
        .target(
            name: "BulkheadEngine",
            dependencies: [
                "BulkheadCore", "BulkheadHost", "BulkheadLaunch", "BulkheadPolicy", "BulkheadSandbox",
                "BulkheadStore", lifecycle, logging,
            ],
            swiftSettings: strict
        ),
        .target(name: "BulkheadAPI", dependencies: ["BulkheadCore"], swiftSettings: strict),
        .target(
            name: "BulkheadHTTP",
            dependencies: [
                "BulkheadAPI", "BulkheadCore", "BulkheadEngine", httpTypes, hummingbird, hummingbirdCore,
                lifecycle, logging, nioCore, nioHTTP, nioHTTPTypes, nioPosix,
            ],
            swiftSettings: strict
        ),

        .executableTarget(
            name: "bulkhead",
            dependencies: [
                "BulkheadAPI", "BulkheadCore", "BulkheadEngine", "BulkheadHTTP", "BulkheadHost",
                "BulkheadPolicy", "BulkheadSandbox", "BulkheadStore", arguments, configuration, lifecycle,
                logging, nioCore, nioHTTP, nioPosix, unixSignals,
            ],
            swiftSettings: strict
        ),
        // Static: a launcher's exec then costs under a millisecond. No test target may depend on it, since
        // the flag would reach the one test bundle, which then does not link.
        .executableTarget(
            name: "bulkhead-launcher",
            dependencies: ["BulkheadLaunch", "CLinux"],
            swiftSettings: strict,
            linkerSettings: [.unsafeFlags(["-static-executable"])]
        ),

        // SQLite on a disk that fails on demand.
        .target(
            name: "FaultVFS",
            path: "Tests/FaultVFS",
            linkerSettings: [.linkedLibrary("sqlite3")]
        ),

        .target(name: "SeededRandom", path: "Tests/SeededRandom", swiftSettings: strict),
        .target(name: "SmallDisk", path: "Tests/SmallDisk", swiftSettings: strict),
        .target(name: "FaultPoints", path: "Tests/FaultPoints", linkerSettings: [.linkedLibrary("dl")]),
        .testTarget(
            name: "BulkheadCoreTests",
            dependencies: ["BulkheadCore", "SeededRandom"],
            swiftSettings: strict
        ),
        .testTarget(name: "BulkheadLaunchTests", dependencies: ["BulkheadLaunch"], swiftSettings: strict),
        .testTarget(
            name: "BulkheadPolicyTests",
            dependencies: ["BulkheadCore", "BulkheadPolicy"],
            swiftSettings: strict
        ),
        .testTarget(
            name: "BulkheadSandboxTests",
            dependencies: ["BulkheadCore", "BulkheadPolicy", "BulkheadSandbox", "CLinux", "SeededRandom"],
            swiftSettings: strict
        ),
        .testTarget(
            name: "BulkheadHostTests",
            dependencies: ["BulkheadCore", "BulkheadHost", "BulkheadLaunch", "CLinux", logging],
            swiftSettings: strict
        ),
        .testTarget(
            name: "BulkheadStoreTests",
            dependencies: ["BulkheadCore", "BulkheadStore", "FaultVFS", "SeededRandom", "SmallDisk", grdb],
            swiftSettings: strict
        ),
        .testTarget(
            name: "BulkheadEngineTests",
            dependencies: [
                "BulkheadCore", "BulkheadEngine", "BulkheadHost", "BulkheadLaunch", "BulkheadPolicy",
                "BulkheadSandbox", "BulkheadStore",
            ],
            swiftSettings: strict
        ),
        .testTarget(
            name: "BulkheadAPITests",
            dependencies: ["BulkheadAPI", "BulkheadCore"],
            swiftSettings: strict
        ),
        .testTarget(
            name: "EndToEndTests",
            dependencies: [
                "BulkheadCore", "BulkheadLaunch", "BulkheadStore", "CLinux", "SeededRandom", "SmallDisk",
                grdb,
            ],
            swiftSettings: strict
        ),
    ] + (fuzzing ? fuzzers : [])
)

/// Programs of libFuzzer, one for each parser of outside bytes.
var fuzzers: [Target] {
    [
        .executableTarget(
            name: "launch-message-fuzzer",
            dependencies: ["BulkheadHost", "BulkheadLaunch"],
            path: "Tests/Fuzzers/LaunchMessage",
            exclude: ["corpus"],
            swiftSettings: strict + [.unsafeFlags(["-parse-as-library"])]
        ),
        .executableTarget(
            name: "policy-fuzzer",
            dependencies: ["BulkheadPolicy"],
            path: "Tests/Fuzzers/Policy",
            exclude: ["corpus"],
            swiftSettings: strict + [.unsafeFlags(["-parse-as-library"])]
        ),
        .executableTarget(
            name: "profile-fuzzer",
            dependencies: ["BulkheadCore", "BulkheadPolicy", "BulkheadSandbox"],
            path: "Tests/Fuzzers/Profile",
            exclude: ["corpus"],
            swiftSettings: strict + [.unsafeFlags(["-parse-as-library"])]
        ),
        .executableTarget(
            name: "json-fuzzer",
            dependencies: ["BulkheadCore"],
            path: "Tests/Fuzzers/JSON",
            exclude: ["corpus"],
            swiftSettings: strict + [.unsafeFlags(["-parse-as-library"])]
        ),
        .executableTarget(
            name: "request-fuzzer",
            dependencies: ["BulkheadAPI", "BulkheadCore"],
            path: "Tests/Fuzzers/Request",
            exclude: ["corpus"],
            swiftSettings: strict + [.unsafeFlags(["-parse-as-library"])]
        ),
    ]
}
