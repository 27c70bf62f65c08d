/// One look at all processes for everybody who asked for it before it began.
///
/// After a crash thousands of attempts ask at one moment whether anything is left of them, and a look at /proc costs
/// milliseconds.
actor ProcessScan {
    static let shared = ProcessScan(look: ProcessStatus.all)

    private let look: @Sendable () -> [ProcessStatus]
    private var running: Task<[ProcessStatus], Never>?
    private var next: Task<[ProcessStatus], Never>?

    /// Makes scans of a table of processes.
    init(look: @escaping @Sendable () -> [ProcessStatus]) { self.look = look }

    /// Every process, by a look that begins after this call did.
    func take() async -> [ProcessStatus] {
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
