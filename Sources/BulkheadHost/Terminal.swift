import Glibc

/// What a terminal says of itself.
public enum Terminal {
    /// The width of the terminal behind a descriptor, in columns.
    /// - Parameter descriptor: An open descriptor.
    /// - Returns: The width, or nil where the descriptor is no terminal or the terminal does not say.
    public static func columns(of descriptor: Int32) -> Int? {
        var size = winsize()
        // The kernel writes one `winsize` (ioctl_tty(2)), which lives until the call returns.
        guard unsafe ioctl(descriptor, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0 else { return nil }
        return Int(size.ws_col)
    }
}
