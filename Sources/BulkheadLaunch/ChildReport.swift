/// What the child tells the launcher over its close-on-exec pipe, in one small write each.
public enum ChildReport: Sendable, Equatable {
    /// It is about to install a filter that has a listener.
    case installing
    /// A step failed; `item` is which of the step's paths it was about, counted from 0.
    case failed(stage: LaunchStage, errno: Int32, item: UInt32)
    /// The first process of the attempt's pid namespace and the handler's are there, with these pids of the
    /// launcher's own namespace.
    case born(first: Int32, handler: Int32)

    /// Bytes of every report.
    public static let size = 10

    /// The report's bytes.
    public var bytes: [UInt8] {
        var writer = ByteWriter(reserving: Self.size)
        switch self {
        case .installing:
            writer.put(UInt8(1))
            writer.put(LaunchStage.filter.rawValue)
            writer.put(Int32(0))
            writer.put(UInt32(0))
        case .failed(let stage, let errno, let item):
            writer.put(UInt8(2))
            writer.put(stage.rawValue)
            writer.put(errno)
            writer.put(item)
        case .born(let first, let handler):
            writer.put(UInt8(3))
            writer.put(LaunchStage.namespaces.rawValue)
            writer.put(handler)
            writer.put(first)
        }
        return writer.bytes
    }

    /// Reads all reports of a pipe, which may have come in one read.
    ///
    /// - Parameter bytes: A multiple of `size` bytes.
    /// - Returns: The reports in their order.
    /// - Throws: What is wrong with the bytes.
    public static func reports(in bytes: ArraySlice<UInt8>) throws(CodecError) -> [ChildReport] {
        var reports: [ChildReport] = []
        var rest = bytes
        while !rest.isEmpty {
            reports.append(try report(rest.prefix(size)))
            rest = rest.dropFirst(size)
        }
        return reports
    }

    private static func report(_ bytes: ArraySlice<UInt8>) throws(CodecError) -> ChildReport {
        var reader = ByteReader(bytes)
        let kind = try reader.number(UInt8.self, "report")
        let stage = try reader.value(LaunchStage.self, "stage")
        let errno = try reader.signed("errno")
        let item = try reader.number(UInt32.self, "item")
        switch kind {
        case 1:
            guard stage == .filter, errno == 0, item == 0 else { throw .unknownKind(found: kind) }
            return .installing
        case 2: return .failed(stage: stage, errno: errno, item: item)
        case 3:
            let first = Int32(bitPattern: item)
            guard stage == .namespaces, first > 0, errno > 0 else { throw .unknownKind(found: kind) }
            return .born(first: first, handler: errno)
        default: throw .unknownKind(found: kind)
        }
    }
}
