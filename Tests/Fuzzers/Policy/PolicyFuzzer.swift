import BulkheadPolicy

/// Reads arbitrary bytes as a policy and as a pools file.
///
/// Nothing may trap, every refusal says something, and a policy that is taken is the same when it is printed
/// and read again.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzPolicy(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    let bytes = unsafe Array(UnsafeBufferPointer(start: start, count: count))
    do throws(PolicyDiagnostics) {
        let policy = try PolicyReader.read(bytes, file: "policy.yaml")
        let again = try PolicyReader.read(Array(policy.text.utf8), file: "again.yaml")
        precondition(policy == again, "the policy changed by being printed")
    } catch {
        precondition(error.first.file == "policy.yaml", "the printed policy is refused: \(error)")
        precondition(error.all.allSatisfy { $0.line >= 1 && $0.column >= 1 && !$0.message.isEmpty })
    }
    do throws(PolicyDiagnostics) {
        _ = try PoolsFile.read(bytes, file: "pools.yaml", cores: 2)
    } catch {
        precondition(!error.all.isEmpty)
    }
    return 0
}
