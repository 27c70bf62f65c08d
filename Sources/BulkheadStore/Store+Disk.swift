public import BulkheadCore

extension Store {
    /// Why the disk allows nothing new, as it was found last; nil where it does.
    public var diskShortage: BulkheadError? { writer.reserve?.shortage }

    /// Tells that the disk has become too full to take anything new, or was so at the start; ends with the store.
    ///
    /// For one listener.
    public var diskShortages: AsyncStream<Void> { writer.shortages }

    /// Looks again where the disk did not allow anything new.
    /// - Returns: Why it still does not; nil where it does.
    public func refusalByDisk() async -> BulkheadError? {
        guard diskShortage != nil else { return nil }
        do {
            // A group without any change has the reserve looked at.
            try await writer.commit { _ in }
            return diskShortage
        } catch {
            return error
        }
    }
}
