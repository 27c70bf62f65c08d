public import BulkheadPolicy
import Glibc

extension ProfileHost {
    /// This machine and its kernel; a kernel whose release has no numbers counts as older than any.
    public static let running = ProfileHost(
        kernel: KernelVersion(release: kernelRelease) ?? KernelVersion(0, 0)
    )

    /// uname(2)'s release, such as `6.1.0-18-amd64`.
    private static var kernelRelease: String {
        var names = utsname()
        guard unsafe uname(&names) == 0 else { return "" }
        return unsafe withUnsafeBytes(of: names.release) { bytes in
            unsafe String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
        }
    }
}
