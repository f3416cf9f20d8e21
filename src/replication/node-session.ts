/** A registration of this node, from when it is written until its lease ends. */
export interface NodeSession {
  /** Keys written with it end with the registration. */
  readonly leaseId: string
  /**
   * Create revision of the node's key, compared by everything that the node may do only while it is
   * registered. What images of this version and later say of the node was said of this incarnation.
   */
  readonly incarnation: number
}
