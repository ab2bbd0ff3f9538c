import { fstatSync, readSync } from "node:fs";
import { UruncError } from "../../errors.ts";
import { type FileExtent, IN_INODE_EXTENTS, readExtents } from "./ext4-extents.ts";
import { BLOCKS_LENGTH, BLOCKS_OFFSET, FLAG_EXTENTS } from "./ext4-format.ts";

/** What of a superblock is needed to find inodes and blocks. */
interface Geometry {
  blockSize: number;
  blocks: number;
  inodes: number;
  firstBlock: number;
  inodesPerGroup: number;
  inodeSize: number;
  descriptorSize: number;
}

/** An inode as the table has it, its fields checked for nothing yet. */
export interface DiskInode {
  number: number;
  /** Kind of file and permission bits. */
  mode: number;
  uid: number;
  gid: number;
  links: number;
  size: number;
  flags: number;
  mtime: { seconds: number; nanoseconds: number };
  /** 60 bytes: extents, a device's number or a short link's target. */
  content: Buffer;
  /** What is behind the fields: extended attributes, or nothing. */
  attributes: Buffer;
  /** 0: none. */
  attributeBlock: number;
}

const SUPERBLOCK = 1024;
const MAGIC = 0xef53;
const LARGEST_LOG_BLOCK = 2;
const LEAST_INODE = 128;

/** Features without which a file system cannot be read right, by their bits (fs/ext4/ext4.h). */
const NEEDS_RECOVERY = 0x4;
const HAS_64_BIT = 0x80;
/** Kinds in names, extents, multiple mount protection, flexible groups, seed of checksums, large directories. */
const UNDERSTOOD = 0x2 | NEEDS_RECOVERY | 0x40 | HAS_64_BIT | 0x100 | 0x200 | 0x2000 | 0x4000;

const FLAG_ENCRYPTED = 0x800;
const FLAG_ATTRIBUTE = 0x20_0000;
const FLAG_INLINE = 0x1000_0000;

/**
 * The structures of an ext4 image (Documentation/filesystems/ext4/), which a guest may have written as it likes: what is
 * read is inside the image, and all that is read of files together is no more than it has blocks, as no two files share
 * one.
 */
export class Ext4Disk {
  readonly path: string;
  readonly #file: number;
  readonly #bytes: number;
  readonly #geometry: Geometry;
  /** Blocks that files may still have. */
  #left: number;

  /**
   * @param path for sentences
   * @param file a descriptor that stays open as long as this is used
   * @throws UruncError `file-system` if it is no ext4, was not left in order, or has features that are not understood
   */
  constructor(path: string, file: number) {
    this.path = path;
    this.#file = file;
    this.#bytes = fstatSync(file).size;
    this.#geometry = this.#superblock();
    this.#left = this.#geometry.blocks;
  }

  get blockSize(): number {
    return this.#geometry.blockSize;
  }

  /** The error of an image that is not as the format has it. */
  damaged(what: string): UruncError {
    return new UruncError("file-system", `the ext4 file system in ${this.path} is damaged: ${what}`);
  }

  #superblock(): Geometry {
    const none = (why: string) =>
      new UruncError("file-system", `${this.path} cannot be read as an ext4 file system: ${why}`);
    if (this.#bytes < 2 * SUPERBLOCK) throw none("it is too short");
    const bytes = this.#read(SUPERBLOCK, SUPERBLOCK);
    if (bytes.readUInt16LE(0x38) !== MAGIC) throw none("it is none");
    const features = bytes.readUInt32LE(0x4c) === 0 ? 0 : bytes.readUInt32LE(0x60);
    const unknown = features & ~UNDERSTOOD;
    if (unknown !== 0) throw none(`it has features that are not known here (0x${unknown.toString(16)})`);
    if ((features & NEEDS_RECOVERY) !== 0) {
      throw none(`it was not left in order: "fsck.ext4 -y ${this.path}" puts it right`);
    }
    const log = bytes.readUInt32LE(0x18);
    if (log > LARGEST_LOG_BLOCK) throw none("its blocks are larger than 4096 bytes");
    const blockSize = 1024 << log;
    const is64Bit = (features & HAS_64_BIT) !== 0;
    const high = is64Bit ? bytes.readUInt32LE(0x150) : 0;
    const isOld = bytes.readUInt32LE(0x4c) === 0;
    const geometry: Geometry = {
      blockSize,
      blocks: high * 2 ** 32 + bytes.readUInt32LE(0x04),
      inodes: bytes.readUInt32LE(0x00),
      firstBlock: bytes.readUInt32LE(0x14),
      inodesPerGroup: bytes.readUInt32LE(0x28),
      inodeSize: isOld ? LEAST_INODE : bytes.readUInt16LE(0x58),
      descriptorSize: is64Bit ? bytes.readUInt16LE(0xfe) : 32,
    };
    const { inodeSize, inodesPerGroup, descriptorSize, blocks } = geometry;
    if (blocks > this.#bytes / blockSize) throw this.damaged("it is larger than its file");
    if (inodeSize < LEAST_INODE || inodeSize > blockSize || (inodeSize & (inodeSize - 1)) !== 0) {
      throw this.damaged(`its inodes have ${inodeSize} bytes`);
    }
    if (inodesPerGroup === 0) throw this.damaged("its groups have no inodes");
    if (descriptorSize < (is64Bit ? 64 : 32) || descriptorSize > 1024 || descriptorSize % 8 !== 0) {
      throw this.damaged(`its descriptors have ${descriptorSize} bytes`);
    }
    return geometry;
  }

  /** @throws UruncError `file-system` for a number that no inode has, or an inode that is not used */
  inode(number: number): DiskInode {
    const { inodes, inodesPerGroup, inodeSize, descriptorSize, firstBlock, blockSize } = this.#geometry;
    if (number < 1 || number > inodes) throw this.damaged(`there is no inode ${number}`);
    const group = Math.floor((number - 1) / inodesPerGroup);
    const descriptor = this.#read((firstBlock + 1) * blockSize + group * descriptorSize, descriptorSize);
    const high = descriptorSize >= 64 ? descriptor.readUInt32LE(0x28) : 0;
    const table = (high * 2 ** 32 + descriptor.readUInt32LE(0x08)) * blockSize;
    const bytes = this.#read(table + ((number - 1) % inodesPerGroup) * inodeSize, inodeSize);
    const inode = decodeInode(number, bytes);
    if (inode.mode === 0 || inode.links === 0) throw this.damaged(`the inode ${number} is not used`);
    if ((inode.flags & (FLAG_ENCRYPTED | FLAG_ATTRIBUTE | FLAG_INLINE)) !== 0) {
      throw this.damaged(`the inode ${number} has flags that the file system has not`);
    }
    return inode;
  }

  /** A block that files may share. */
  attributeBlock(number: number): Buffer {
    return this.#block(number);
  }

  /** A block that is some file's alone. */
  block(number: number): Buffer {
    this.#take(1);
    return this.#block(number);
  }

  /**
   * Where a file's bytes are: in the order of the file, without overlap, inside the image and the file. What lies between
   * is zeros.
   */
  extents(inode: DiskInode): FileExtent[] {
    if ((inode.flags & FLAG_EXTENTS) === 0) {
      // As ext2 has them, which Linux does not make in a file system with extents.
      if (inode.content.some((byte) => byte !== 0)) {
        throw this.damaged(`the inode ${inode.number} has no extents`);
      }
      return [];
    }
    const extents = readExtents(inode.content, IN_INODE_EXTENTS, {
      block: (number) => this.block(number),
      wrong: (what) => this.damaged(`the extents of the inode ${inode.number} ${what}`),
    });
    const end = Math.ceil(inode.size / this.blockSize);
    const inside: FileExtent[] = [];
    for (const { at, block, count } of extents) {
      if (at >= end) continue;
      const used = Math.min(count, end - at);
      if (block + used > this.#geometry.blocks) {
        throw this.damaged(`the inode ${inode.number} has blocks behind the end`);
      }
      this.#take(used);
      inside.push({ at, block, count: used });
    }
    return inside;
  }

  /** Bytes of a row of blocks that {@link extents} gave, in parts that are valid until the next is asked for. */
  *data(block: number, length: number): Generator<Buffer> {
    const part = Buffer.allocUnsafe(Math.min(length, 1 << 20));
    for (let done = 0; done < length; ) {
      const count = Math.min(part.length, length - done);
      this.#fill(part.subarray(0, count), block * this.blockSize + done);
      yield part.subarray(0, count);
      done += count;
    }
  }

  #take(blocks: number): void {
    this.#left -= blocks;
    if (this.#left < 0) throw this.damaged("its files have more blocks than there are");
  }

  #block(number: number): Buffer {
    if (number >= this.#geometry.blocks) throw this.damaged(`there is no block ${number}`);
    return this.#read(number * this.blockSize, this.blockSize);
  }

  #read(position: number, length: number): Buffer {
    const bytes = Buffer.allocUnsafe(length);
    this.#fill(bytes, position);
    return bytes;
  }

  #fill(bytes: Buffer, position: number): void {
    if (position + bytes.length > this.#bytes) throw this.damaged("something of it is behind its end");
    for (let done = 0; done < bytes.length; ) {
      const count = readSync(this.#file, bytes, done, bytes.length - done, position + done);
      if (count === 0) throw this.damaged("it became shorter while it was read");
      done += count;
    }
  }
}

const MTIME_EXTRA = { at: 136, size: 4 };

function decodeInode(number: number, bytes: Buffer): DiskInode {
  const extra = bytes.length > LEAST_INODE ? bytes.readUInt16LE(128) : 0;
  const fieldsEnd = LEAST_INODE + extra;
  const high = fieldsEnd >= MTIME_EXTRA.at + MTIME_EXTRA.size ? bytes.readUInt32LE(MTIME_EXTRA.at) : 0;
  return {
    number,
    mode: bytes.readUInt16LE(0),
    uid: bytes.readUInt16LE(2) + bytes.readUInt16LE(120) * 2 ** 16,
    gid: bytes.readUInt16LE(24) + bytes.readUInt16LE(122) * 2 ** 16,
    links: bytes.readUInt16LE(26),
    size: bytes.readUInt32LE(4) + bytes.readUInt32LE(108) * 2 ** 32,
    flags: bytes.readUInt32LE(32),
    mtime: {
      seconds: bytes.readInt32LE(16) + (high & 3) * 2 ** 32,
      // A guest may write what is no number of nanoseconds.
      nanoseconds: Math.min(high >>> 2, 999_999_999),
    },
    content: bytes.subarray(BLOCKS_OFFSET, BLOCKS_OFFSET + BLOCKS_LENGTH),
    attributes: bytes.subarray(Math.min(fieldsEnd, bytes.length)),
    attributeBlock: bytes.readUInt32LE(104) + bytes.readUInt16LE(118) * 2 ** 32,
  };
}
