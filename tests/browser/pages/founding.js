// A page as the Realtime API's reference shows one to applications, with two changes that SDP demands: what is to be
// negotiated (the data channel, an audio transceiver) is there before the offer, and a microphone that is added later
// takes a new offer, to the address that the first one was answered with.

let location_ = null
const received = []

const pc = new RTCPeerConnection()
const dataChannel = pc.createDataChannel('oai-events')
pc.addTransceiver('audio')

const exchange = async (url) => {
  // 1. Create SDP offer
  const offer = await pc.createOffer()
  await pc.setLocalDescription(offer)

  // 2. Exchange with OpenAI
  const response = await fetch(url, {
    method: 'POST',
    headers: { 'Content-Type': 'text/plain' },
    body: offer.sdp
  })
  if (!response.ok) throw new Error(await response.text())
  const answerSDP = await response.text()
  await pc.setRemoteDescription({ type: 'answer', sdp: answerSDP })
  location_ ??= response.headers.get('Location')
}

const start = () => exchange('/api/realtime/session')

// DataChannel Events
let isConnected = false
const setIsConnected = (value) => (isConnected = value)

dataChannel.onmessage = (event) => {
  try {
    const data = JSON.parse(event.data)
    emit(data.type, data)
    received.push(data)
  } catch (error) {
    console.error('Failed to parse DataChannel message:', error)
  }
}

dataChannel.onopen = () => {
  setIsConnected(true)
}

dataChannel.onclose = () => {
  setIsConnected(false)
}

// Audio Track Management
const startMic = async () => {
  const stream = await navigator.mediaDevices.getUserMedia({ audio: true })
  const track = stream.getAudioTracks()[0]

  pc.addTrack(track, stream)

  // Optional: add level meter
  const audioContext = new AudioContext()
  const analyser = audioContext.createAnalyser()
  const source = audioContext.createMediaStreamSource(stream)
  source.connect(analyser)

  await exchange(location_)
}

const stopMic = () => {
  const senders = pc.getSenders()
  senders.forEach(sender => {
    if (sender.track && sender.track.kind === 'audio') {
      const track = sender.track
      pc.removeTrack(sender)
      track.stop()
    }
  })

  // Cancel any pending response
  send({ type: 'response.cancel' })
}

// DataChannel Errors
dataChannel.onerror = (error) => {
  console.error('DataChannel error:', error)
  // Fallback to WebSocket or retry
}

// Send with error handling
const send = (event) => {
  if (dataChannel?.readyState === 'open') {
    try {
      dataChannel.send(JSON.stringify(event))
    } catch (error) {
      console.error('Failed to send message:', error)
      // Queue for retry or show user error
    }
  } else {
    console.warn('DataChannel not ready, queueing message')
    // Queue message for when channel is ready
  }
}

// Event Listener Management
const eventHandlers = new Map()

const on = (type, handler) => {
  if (!eventHandlers.has(type)) {
    eventHandlers.set(type, new Set())
  }
  eventHandlers.get(type).add(handler)
}

const off = (type, handler) => {
  const handlers = eventHandlers.get(type)
  if (handlers) {
    handlers.delete(handler)
    if (handlers.size === 0) {
      eventHandlers.delete(type)
    }
  }
}

const emit = (type, data) => {
  const handlers = eventHandlers.get(type)
  if (handlers) {
    handlers.forEach(handler => {
      try {
        handler(data)
      } catch (error) {
        console.error(`Error in event handler for ${type}:`, error)
      }
    })
  }
}

// Client Secret (Alternative)
const connectWithSecret = async (address) => {
  // Get ephemeral token
  const response = await fetch('/api/realtime/session', {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ method: 'client_secret' })
  })
  const { client_secret } = await response.json()

  // Connect with secret (production model); a page has no other way to give it than the subprotocols
  return new WebSocket(address, ['realtime', 'openai-insecure-api-key.' + client_secret.value])
}

// Memory Management
const cleanup = () => {
  if (pc) {
    pc.close()
  }
  if (dataChannel) {
    dataChannel.close()
  }
}
