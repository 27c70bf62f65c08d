/// A version of Linux, as far as profiles ask for it.
public struct KernelVersion: Sendable, Hashable, Comparable, CustomStringConvertible {
    /// The first number.
    public let major: Int
    /// The second number.
    public let minor: Int

    /// Makes a version.
    public init(_ major: Int, _ minor: Int) {
        self.major = major
        self.minor = minor
    }

    /// Reads the beginning of a kernel's release, such as `6.1.0-18-amd64`; nil where there are no two numbers.
    ///
    /// - Parameter release: The release, as uname(2) gives it.
    public init?(release: String) {
        let digits = release.prefix { $0.isASCII && ($0.isNumber || $0 == ".") }
        let numbers = digits.split(separator: ".").prefix(2).map { Int($0) }
        guard numbers.count == 2, let major = numbers[0], let minor = numbers[1] else { return nil }
        self.init(major, minor)
    }

    /// The two numbers with a dot.
    public var description: String { "\(major).\(minor)" }

    /// Whether a version came before another one.
    public static func < (left: KernelVersion, right: KernelVersion) -> Bool {
        (left.major, left.minor) < (right.major, right.minor)
    }
}

/// The host for which a profile is read: entries that ask for another one do not count.
public struct ProfileHost: Sendable, Hashable {
    /// The architecture.
    public let architecture: Architecture
    /// The running kernel.
    public let kernel: KernelVersion

    /// Makes a host.
    ///
    /// - Parameters:
    ///   - architecture: The architecture; this program's own, by default.
    ///   - kernel: The running kernel.
    public init(architecture: Architecture = .current, kernel: KernelVersion) {
        self.architecture = architecture
        self.kernel = kernel
    }
}
