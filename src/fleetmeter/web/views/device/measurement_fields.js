/** The fields of a reading that people read and correct, by kind of device. */

/** `total`: sent as a register instead. */
export const MEASUREMENTS = {
  vehicle: [
    { field: 'kwhDeliveredDc', text: 'energy.dc', unit: 'kWh', digits: 3, total: 'kwhDeliveredDcTotal' },
    { field: 'kwhDeliveredDcTotal', text: 'measurement.register', unit: 'kWh', digits: 3 },
    { field: 'kwhReturnedDc', text: 'measurement.returned', unit: 'kWh', digits: 3, total: 'kwhReturnedDcTotal' },
    { field: 'kwhReturnedDcTotal', text: 'measurement.returnedRegister', unit: 'kWh', digits: 3 },
    { field: 'soc', text: 'measurement.soc', unit: '%', digits: 1 },
    { field: 'powerKw', text: 'measurement.powerKw', unit: 'kW', digits: 2 },
    { field: 'batteryTemp', text: 'measurement.batteryTemp', unit: '°C', digits: 1 },
    { field: 'odometerKm', text: 'measurement.odometerKm', unit: 'km', digits: 1 },
  ],
  meter: [
    { field: 'kwhConsumedAc', text: 'energy.ac', unit: 'kWh', digits: 3, total: 'kwhConsumedAcTotal' },
    { field: 'kwhConsumedAcTotal', text: 'measurement.register', unit: 'kWh', digits: 3 },
    { field: 'kwhExportedAc', text: 'measurement.exported', unit: 'kWh', digits: 3, total: 'kwhExportedAcTotal' },
    { field: 'kwhExportedAcTotal', text: 'measurement.exportedRegister', unit: 'kWh', digits: 3 },
    { field: 'powerKw', text: 'measurement.powerKw', unit: 'kW', digits: 2 },
    { field: 'voltage', text: 'measurement.voltage', unit: 'V', digits: 1 },
    { field: 'voltageL1', text: 'measurement.voltageL1', unit: 'V', digits: 1 },
    { field: 'voltageL2', text: 'measurement.voltageL2', unit: 'V', digits: 1 },
    { field: 'voltageL3', text: 'measurement.voltageL3', unit: 'V', digits: 1 },
  ],
};
