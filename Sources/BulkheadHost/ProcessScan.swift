/// One look at all processes for everybody who asked for it before it began.
///
/// After a crash thousands of attempts ask at one moment whether anything is left of them, and a look at /proc costs
/// milliseconds.
actor ProcessScan<Found: Sendable> {
    private let look: @Sendable () -> Found
    private var running: Task<Found, Never>?
    private var next: Task<Found, Never>?

    /// Makes scans of a table of processes.
    init(look: @escaping @Sendable () -> Found) { self.look = look }

    /// What is there, by a look that begins after this call did.
    func take() async -> Found {
        if let next { return await next.value }
        let before = running
        let scan = Task {
            _ = await before?.value
            begin()
            return look()
        }
        next = scan
        return await scan.value
    }

    /// Whoever asks from now on is answered by the look after this one.
    private func begin() {
        running = next
        next = nil
    }
}
