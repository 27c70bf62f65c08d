import Foundation
import Testing

@testable import BulkheadHost

@Suite("FileLease")
struct FileLeaseTests {
    @Test("a file that is open for writing has a writer until that is closed")
    func writer() throws {
        let folder = try HostFolder()
        let path = try folder.file("job", "x")
        #expect(FileLease.hasWriter(path) == false)
        do {
            let reader = try OpenDescriptor.open(path, O_RDONLY)
            #expect(FileLease.hasWriter(path) == false)
            #expect(reader.number >= 0)
        }
        do {
            let writer = try OpenDescriptor.open(path, O_WRONLY | O_APPEND)
            #expect(FileLease.hasWriter(path) == true)
            #expect(writer.number >= 0)
        }
        #expect(FileLease.hasWriter(path) == false)
        #expect(FileLease.hasWriter(folder("none")) == nil)
    }

    @Test("asking while others open the file for writing harms neither side")
    func races() async throws {
        let folder = try HostFolder()
        let path = try folder.file("job", "x")
        await withTaskGroup { group in
            for _ in 0..<2 {
                group.addTask {
                    for _ in 0..<2_000 { _ = FileLease.hasWriter(path) }
                }
                group.addTask {
                    for _ in 0..<2_000 {
                        #expect(throws: Never.self) { _ = try OpenDescriptor.open(path, O_WRONLY) }
                    }
                }
            }
        }
        #expect(FileLease.hasWriter(path) == false)
    }
}
